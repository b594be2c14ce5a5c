/**
 * Every k-th splat of a PLY file, wide enough to close the gaps: a first picture while the whole
 * file is still being prepared.
 *
 * Returns null for files that are small enough, or are not of little-endian floats alone.
 */
export function sampledPly(file: ArrayBuffer, most: number): ArrayBuffer | null {
  const headerText = new TextDecoder('latin1').decode(file.slice(0, 4096));
  const end = headerText.indexOf('end_header\n');
  const lines = headerText.slice(0, Math.max(0, end)).split('\n');
  const properties = lines.filter((line) => line.startsWith('property'));
  const vertices = Number(/element vertex (\d+)/.exec(headerText)?.[1]);
  const plain =
    lines[1] === 'format binary_little_endian 1.0' &&
    lines.filter((line) => line.startsWith('element')).length === 1 &&
    properties.every((line) => line.startsWith('property float '));
  if (end < 0 || !plain || !(vertices > most)) return null;

  const start = end + 'end_header\n'.length;
  const bytes = 4 * properties.length;
  const step = Math.ceil(vertices / most);
  const count = Math.floor(Math.min(vertices, (file.byteLength - start) / bytes) / step);
  const header = new TextEncoder().encode(
    headerText.slice(0, start).replace(/element vertex \d+/, `element vertex ${count}`),
  );
  const sample = new Uint8Array(header.length + count * bytes);
  sample.set(header);
  const view = new DataView(sample.buffer);
  const scales = properties.flatMap((line, k) => (line.includes(' scale_') ? [4 * k] : []));
  const wider = Math.log(Math.sqrt(step)); // splats lie on surfaces; the file's scales are logs
  for (let k = 0; k < count; k++) {
    const at = header.length + k * bytes;
    sample.set(new Uint8Array(file, start + k * step * bytes, bytes), at);
    for (const scale of scales) {
      view.setFloat32(at + scale, view.getFloat32(at + scale, true) + wider, true);
    }
  }
  return sample.buffer;
}
