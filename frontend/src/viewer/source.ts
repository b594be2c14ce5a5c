import { Notice } from '../ui/notice';
import type { Manifest } from './manifest';

/** Where a scene's files come from: a server's folder, or the page itself. */
export interface Source {
  manifest: Manifest;
  /** The file's bytes. Rejects with a sentence for the user. */
  bytes(path: string): Promise<ArrayBuffer>;
  /** A URL for `<img>` and downloads. Valid until `dispose`. */
  url(path: string): Promise<string>;
  dispose(): void;
}

function readManifest(text: string): Manifest {
  try {
    const manifest = JSON.parse(text) as Manifest;
    if (Array.isArray(manifest.objects) && Array.isArray(manifest.files)) return manifest;
  } catch {
    // The sentence below says more than the parser's.
  }
  throw new Notice('scene.json is damaged, or of something else. Make the scene again.');
}

/** A scene whose files lie beside its `scene.json`. */
export async function folderSource(manifestUrl: string): Promise<Source> {
  const base = new URL(manifestUrl, document.baseURI);
  const resolve = (path: string) => new URL(path.split('/').map(encodeURIComponent).join('/'), base).href;
  const get = async (url: string, name: string) => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${name} could not be loaded (status ${response.status}).`);
    return response;
  };
  const manifest = readManifest(await (await get(base.href, 'scene.json')).text());
  return {
    manifest,
    bytes: async (path) => (await get(resolve(path), path)).arrayBuffer(),
    url: async (path) => resolve(path),
    dispose: () => {},
  };
}

/** What `scenelift view --export` puts into the page: files as gzip in base64. */
export interface Embedded {
  manifest: Manifest;
  files: Record<string, string>;
}

export function embeddedSource({ manifest, files }: Embedded): Source {
  const urls = new Map<string, string>();
  const bytes = async (path: string): Promise<ArrayBuffer> => {
    const packed = files[path];
    if (packed === undefined) throw new Error(`This page does not hold ${path}.`);
    const gzip = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([gzip]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).arrayBuffer();
  };
  return {
    manifest: { ...manifest, files: manifest.files.filter((f) => f.path in files) },
    bytes,
    async url(path) {
      const earlier = urls.get(path);
      if (earlier) return earlier;
      const url = URL.createObjectURL(new Blob([await bytes(path)]));
      urls.set(path, url);
      return url;
    },
    dispose: () => urls.forEach((url) => URL.revokeObjectURL(url)),
  };
}
