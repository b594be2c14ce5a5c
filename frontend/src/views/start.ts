import type { Config } from '../api/types';
import { hasWebcam, takePhoto } from '../ui/camera';
import { h } from '../ui/dom';
import { bytes } from '../ui/format';
import { icon } from '../ui/icons';
import { toast } from '../ui/toast';

/** Where one comes in: every way to choose a photo. */
export function startScreen(
  config: Config, choose: (photo: File, phrases?: string[]) => void, problem: string,
): HTMLElement {
  const example = ({ name, url, prompt }: Config['examples'][number]) => {
    const open = async () => {
      const blob = await (await fetch(url)).blob();
      choose(new File([blob], `${name}.png`, { type: blob.type }), [prompt]);
    };
    return h('button', { type: 'button', class: 'example', onclick: () => void open().catch(toast) },
      h('img', { src: url, alt: '', loading: 'lazy' }), h('span', {}, name));
  };
  return h(
    'div', { class: 'welcome' },
    h('h1', {}, 'A photo becomes a 3D scene'),
    h('p', { class: 'lead' }, 'Say what to lift out of it. Every match becomes splats and a mesh, placed where it stood.'),
    problem && h('p', { class: 'problem', role: 'alert' }, problem),
    h('div', { class: 'drop' },
      h('span', { class: 'drop-icon' }, icon('upload')),
      h('p', {}, h('b', {}, 'Drop a photo here'), h('small', {}, 'or paste one from the clipboard')),
      h('div', { class: 'actions' },
        ...picker('photo-file', 'Choose a photo', 'photo', choose),
        ...camera(choose)),
      h('small', {}, `JPEG, PNG, WebP, HEIC … up to ${bytes(config.limits.upload_bytes)}`)),
    config.examples.length > 0 &&
      h('div', { class: 'examples' },
        h('h2', {}, 'Or try one of these'), h('div', {}, ...config.examples.map(example))),
  );
}

/** Phones bring their own camera app; where a mouse is used, the page shows the webcam. */
function camera(choose: (photo: File) => void): HTMLElement[] {
  if (matchMedia('(pointer: coarse)').matches) return picker('photo-camera', 'Camera', 'camera', choose);
  if (!hasWebcam()) return [];
  const open = async () => {
    const photo = await takePhoto();
    if (photo) choose(photo);
  };
  return [h('button', { type: 'button', class: 'button', onclick: () => void open().catch(toast) },
    icon('camera'), 'Camera')];
}

function picker(
  id: string, label: string, kind: 'photo' | 'camera', choose: (photo: File) => void,
): HTMLElement[] {
  const input = h('input', {
    id, type: 'file', accept: 'image/*', class: 'sr-only', capture: kind === 'camera' && 'environment',
    onchange: () => {
      const photo = input.files?.[0];
      if (photo) choose(photo);
    },
  });
  const primary = kind === 'photo' ? 'button primary' : 'button';
  return [input, h('label', { for: id, class: primary }, icon(kind), label)];
}
