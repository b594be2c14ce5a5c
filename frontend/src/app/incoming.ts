/** Photos that are dropped on the page or pasted into it, wherever in it one is. */
export function onIncomingPhoto(take: (photo: File) => void): void {
  const { classList } = document.body;
  document.addEventListener('paste', (e) => {
    const photo = [...(e.clipboardData?.files ?? [])].find((f) => f.type.startsWith('image/'));
    if (photo) take(photo);
  });
  document.addEventListener('dragover', (e) => {
    if (!e.dataTransfer?.types.includes('Files')) return;
    e.preventDefault();
    classList.add('dropping');
  });
  document.addEventListener('dragleave', (e) => {
    if (e.relatedTarget === null) classList.remove('dropping');
  });
  document.addEventListener('drop', (e) => {
    classList.remove('dropping');
    const photo = e.dataTransfer?.files[0];
    if (!photo) return;
    e.preventDefault(); // or the browser leaves the page to show the file
    take(photo);
  });
}
