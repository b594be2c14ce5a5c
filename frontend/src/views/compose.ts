import type { Config, Job } from '../api/types';
import { h } from '../ui/dom';
import { bytes } from '../ui/format';
import { photoForm } from './form';
import { startScreen } from './start';
import type { View } from './view';

/** What every browser shows: if it does not, the file is damaged. */
const SHOWN_EVERYWHERE = new Set(['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/bmp']);
/** Some systems know no type of these. */
const PHOTO_ENDINGS = /\.(jpe?g|jfif|a?png|webp|heic|heif|avif|tiff?|bmp|gif|mpo|p[bgnp]m)$/i;

/** A sentence where a file can be no photo, so that nobody waits for the server to say so. */
export function whyNoPhoto({ name, type, size }: { name: string; type: string; size: number }): string {
  const kinds = 'Choose a JPEG, PNG, WebP, HEIC, TIFF, BMP, GIF, AVIF or PPM.';
  if (size === 0) return `${name} is empty. Copy or export the photo again.`;
  if (type === 'image/svg+xml') return `${name} is a drawing, not a photo. ${kinds}`;
  if (type.startsWith('image/') || PHOTO_ENDINGS.test(name)) return '';
  return `${name} is no photo. ${kinds}`;
}

/** A new scene: choose a photo, say what to lift out of it. */
export function composeView(config: Config, onSubmitted: (job: Job) => void): View {
  const screen = h('div', { class: 'compose' });
  let discard = () => {};

  const take = async (photo: File, phrases: string[] = []) => {
    discard();
    const wrong = whyNoPhoto(photo);
    if (wrong) {
      start(wrong);
      return;
    }
    if (photo.size > config.limits.upload_bytes) {
      start(`This photo has ${bytes(photo.size)}; the server takes up to ${bytes(config.limits.upload_bytes)}. Save it smaller, for example as a JPEG, and try again.`);
      return;
    }
    const url = URL.createObjectURL(photo);
    discard = () => URL.revokeObjectURL(url);
    const size = await measure(url);
    if (!size && SHOWN_EVERYWHERE.has(photo.type)) {
      start(`${photo.name} is damaged: this browser cannot show it. Copy or export the photo again.`);
      return;
    }
    const preview = size && { url, ...size };
    screen.replaceChildren(photoForm(config, photo, preview, phrases, start, onSubmitted));
    screen.querySelector<HTMLInputElement>('#phrases')?.focus({ preventScroll: true });
  };
  const start = (problem = '') => {
    discard();
    screen.replaceChildren(startScreen(config, (photo, phrases) => void take(photo, phrases), problem));
  };
  start();
  return { element: screen, take: (photo) => void take(photo), dispose: () => discard() };
}

/** Width and height of the photo, in whose pixels boxes are sent; null where this browser does not show what the server may read. */
async function measure(url: string): Promise<{ width: number; height: number } | null> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}
