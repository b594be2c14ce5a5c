import { h } from './dom';
import { icon } from './icons';
import { Notice } from './notice';

/** Browsers offer it on https and on localhost only. */
export function hasWebcam(): boolean {
  return !!navigator.mediaDevices?.getUserMedia;
}

/** A photo from the webcam, or null where the user changed their mind. Rejects with a sentence. */
export async function takePhoto(): Promise<File | null> {
  const stream = await open();
  const video = h('video', { autoplay: true, playsinline: true, 'aria-label': 'What the camera sees' });
  video.muted = true;
  video.srcObject = stream;
  const take = h('button', { class: 'button primary', value: 'take' }, icon('camera'), 'Take the photo');
  take.disabled = true; // until there is a picture
  video.addEventListener('loadeddata', () => (take.disabled = false));
  const dialog = h(
    'dialog', { class: 'dialog camera', 'aria-label': 'Camera' },
    video,
    h('form', { method: 'dialog', class: 'dialog-actions' },
      h('button', { class: 'button', value: '' }, 'Cancel'),
      take),
  );
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener('close', closed));
  const photo = dialog.returnValue === 'take' ? await still(video) : null;
  for (const track of stream.getTracks()) track.stop();
  dialog.remove();
  return photo;
}

async function open(): Promise<MediaStream> {
  const most = { width: { ideal: 1920 }, height: { ideal: 1440 }, facingMode: 'environment' };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: most });
  } catch {
    throw new Notice('There is no camera, or this page may not use it. The browser asks beside its address bar.');
  }
}

async function still(video: HTMLVideoElement): Promise<File> {
  const canvas = h('canvas', { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', 0.95));
  if (!blob) throw new Error('The picture could not be taken.');
  return new File([blob], 'camera.jpg', { type: blob.type });
}
