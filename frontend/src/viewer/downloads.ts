import { h } from '../ui/dom';
import { bytes } from '../ui/format';
import { icon } from '../ui/icons';
import type { SceneFile } from './manifest';
import type { Source } from './source';

const ABOUT: Record<string, [name: string, use: string]> = {
  'scene.glb': ['GLB mesh', 'Blender, engines, the web'],
  'scene.ply': ['PLY splats', 'splat viewers and editors'],
  'scene.spz': ['SPZ splats', 'small, for the web'],
  'scene.sog': ['SOG splats', 'small, for the web'],
  'scene.obj': ['OBJ mesh', 'everything else; with MTL and textures'],
  'scene.usdz': ['USDZ', 'Apple, Omniverse'],
  'scene.stl': ['STL', 'printing'],
  'preview.gif': ['GIF', 'a turn around the scene'],
  'preview.webp': ['WebP', 'a turn around the scene'],
  'preview.mp4': ['MP4', 'a turn around the scene'],
};

/** Every file of the scene with its size; the ones that people come for first. */
export function downloads(source: Source): HTMLElement {
  const known = source.manifest.files.filter((f) => f.path in ABOUT);
  const others = source.manifest.files.filter((f) => !(f.path in ABOUT));
  known.sort((a, b) => Object.keys(ABOUT).indexOf(a.path) - Object.keys(ABOUT).indexOf(b.path));
  return h(
    'div',
    { class: 'downloads' },
    h('ul', {}, ...known.map((f) => entry(source, f, ...(ABOUT[f.path] ?? [f.path, ''])))),
    others.length > 0 &&
      h('details', {},
        h('summary', {}, `${known.length > 0 ? 'All other files' : 'Files'} (${others.length})`),
        h('ul', {}, ...others.map((f) => entry(source, f, f.path, '')))),
  );
}

function entry(source: Source, file: SceneFile, name: string, use: string): HTMLElement {
  const link = h(
    'a',
    { class: 'file', href: '#', download: file.path.replaceAll('/', '_') },
    icon('download'),
    h('span', {}, h('b', {}, name), use ? h('small', {}, use) : null),
    h('small', { class: 'size' }, bytes(file.bytes)),
  );
  void source.url(file.path).then((url) => (link.href = url));
  return h('li', {}, link);
}
