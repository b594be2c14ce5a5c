import { h } from '../ui/dom';
import type { Source } from './source';

/** What is shown where nothing can be drawn in 3D: why, and the turntable or the photo. */
export function stillView(source: Source, reason: string): HTMLElement {
  const listed = new Set(source.manifest.files.map((f) => f.path));
  const path = ['preview.gif', 'preview.webp', 'preview.png', 'input.png'].find((name) => listed.has(name));
  const image = h('img', { alt: path?.startsWith('preview') ? 'A turn around the scene' : 'The photo' });
  if (path) void source.url(path).then((url) => (image.src = url));
  return h('div', { class: 'still' },
    h('p', { class: 'problem', role: 'alert' }, reason), path ? image : null);
}
