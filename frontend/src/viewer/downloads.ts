import { zipSync, type Zippable } from 'three/addons/libs/fflate.module.js';

import { h, save } from '../ui/dom';
import { bytes } from '../ui/format';
import { icon } from '../ui/icons';
import { showsRooms, standInRoom } from './yourRoom';
import type { SceneFile } from './manifest';
import type { Source } from './source';

const ABOUT: Record<string, [name: string, use: string]> = {
  'scene.glb': ['GLB mesh', 'Blender, engines, the web'],
  'scene.ply': ['PLY splats', 'splat viewers and editors'],
  'scene.splats.glb': ['GLB with splats', 'meshes and splats: Babylon.js, PlayCanvas, three'],
  'scene.spz': ['SPZ 4 splats', 'small: PlayCanvas, Babylon.js, three'],
  'scene.spz3.spz': ['SPZ 3 splats', 'small: Spark, older viewers'],
  'scene.sog': ['SOG splats', 'the smallest: SuperSplat, PlayCanvas, Spark'],
  'scene.compressed.ply': ['Compressed PLY', 'splats: SuperSplat, PlayCanvas, Spark'],
  'scene.splat': ['SPLAT', 'nearly every splat viewer'],
  'scene.compact.glb': ['Small GLB mesh', 'the web: three, Babylon.js; not Blender'],
  'scene.obj': ['OBJ mesh', 'everything else; with MTL and textures'],
  'background.glb': ['GLB background', 'the room behind the objects, a mesh'],
  'background.ply': ['PLY background', 'the same as splats'],
  'scene.usdz': ['USDZ', 'Apple’s phones and headsets'],
  'scene.usdc': ['USD', 'simulators and editors: Omniverse, Isaac Sim, Blender'],
  'scene.xml': ['MJCF', 'MuJoCo; with its meshes'],
  'scene.urdf': ['URDF', 'ROS, PyBullet, Drake; with its meshes'],
  'scene.3mf': ['3MF', 'printing with colours'],
  'scene.stl': ['STL', 'printing'],
  'preview.gif': ['GIF', 'a short film of the scene'],
  'preview.webp': ['WebP', 'a short film of the scene'],
  'preview.mp4': ['MP4', 'a short film of the scene'],
  'preview.png': ['PNG', 'the scene from where the photo was taken'],
};

/**
 * Every file of the scene with its size; the ones that people come for first.
 *
 * @param zip where a server packs everything; without one this page does it.
 */
export function downloads(source: Source, zip: string | null): HTMLElement {
  const mainFiles = source.manifest.files.filter((f) => f.path in ABOUT);
  const others = source.manifest.files.filter((f) => !(f.path in ABOUT));
  mainFiles.sort((a, b) => Object.keys(ABOUT).indexOf(a.path) - Object.keys(ABOUT).indexOf(b.path));
  return h(
    'div',
    { class: 'downloads' },
    h('ul', {},
      ...mainFiles.map((f) => {
        const [name, use] = ABOUT[f.path] ?? [f.path, ''];
        const parts = withParts(f, source.manifest.files);
        const zip = `${f.path.replace('.', '-')}.zip`;
        return parts.length > 1 ? bundle(source, parts, name, use, zip) : entry(source, f, name, use);
      }),
      source.manifest.files.length > 1 && (zip === null
        ? bundle(source, source.manifest.files, 'Everything', 'all files as a ZIP', 'scene.zip')
        : packed(zip, source.manifest.files))),
    others.length > 0 &&
      h('details', {},
        h('summary', {}, `${mainFiles.length > 0 ? 'All other files' : 'Files'} (${others.length})`),
        h('ul', {}, ...others.map((f) => entry(source, f, f.path, '')))),
  );
}

function packed(zip: string, files: readonly SceneFile[]): HTMLElement {
  return h('li', {}, h('a', { class: 'file', href: zip, download: 'scene.zip' }, icon('download'),
    h('span', {}, h('b', {}, 'Everything'), h('small', {}, 'all files as a ZIP')),
    h('small', { class: 'size' }, bytes(files.reduce((sum, f) => sum + f.bytes, 0)))));
}

function entry(source: Source, file: SceneFile, name: string, use: string): HTMLElement {
  const link = h(
    'a',
    { class: 'file', href: '#', download: file.path.replaceAll('/', '_') },
    icon('download'),
    h('span', {}, h('b', {}, name), use ? h('small', {}, use) : null),
    h('small', { class: 'size' }, bytes(file.bytes)),
  );
  if (file.path === 'scene.usdz' && showsRooms()) standInRoom(link);
  void source.url(file.path).then((url) => (link.href = url));
  return h('li', {}, link);
}

/** What a file is worth little without, by its name: materials, textures, meshes. */
const PARTS: Record<string, RegExp> = {
  'scene.obj': /^scene(\.mtl|_[^/]*\.png)$/,
  'scene.usdc': /^scene_usd\//,
  'scene.xml': /^scene_physics\//,
  'scene.urdf': /^scene_physics\//,
};

/** A file and those that it names. */
export function withParts(file: SceneFile, files: readonly SceneFile[]): SceneFile[] {
  return [file, ...files.filter((f) => PARTS[file.path]?.test(f.path))];
}

/** A button that gathers files into one ZIP. They are compressed already, so they are stored. */
function bundle(
  source: Source, parts: readonly SceneFile[], name: string, use: string, as: string,
): HTMLElement {
  const hint = h('small', {}, use);
  const button = h('button', { type: 'button', class: 'file', onclick: () => void gather() },
    icon('download'), h('span', {}, h('b', {}, name), hint),
    h('small', { class: 'size' }, bytes(parts.reduce((sum, f) => sum + f.bytes, 0))));
  const gather = async () => {
    button.disabled = true;
    try {
      const files: Zippable = {};
      for (const [k, part] of parts.entries()) {
        hint.textContent = `file ${k + 1} of ${parts.length} …`;
        files[part.path] = [new Uint8Array(await source.bytes(part.path)), { level: 0 }];
      }
      if (parts.length === source.manifest.files.length) {
        files['scene.json'] ??= new TextEncoder().encode(JSON.stringify(source.manifest, null, 2));
      }
      save(new Blob([zipSync(files) as BlobPart], { type: 'application/zip' }), as);
      hint.textContent = use;
    } catch (error) {
      hint.textContent = error instanceof Error ? error.message : 'It could not be gathered.';
    }
    button.disabled = false;
  };
  return h('li', {}, button);
}
