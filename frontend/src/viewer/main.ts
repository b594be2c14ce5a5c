/** The viewer alone: a folder beside this page, or the scene that the page holds. */
import '../styles/base.css';
import '../styles/viewer.css';

import { h } from '../ui/dom';
import { plural } from '../ui/format';
import { embeddedSource, folderSource, type Embedded, type Source } from './source';
import { Viewer } from './viewer';

async function source(): Promise<Source> {
  const text = document.getElementById('scene')?.textContent?.trim();
  if (!text) return folderSource('scene.json');
  return embeddedSource(JSON.parse(text) as Embedded);
}

const host = document.querySelector('main');
if (!host) throw new Error('viewer.html has no main');
try {
  const scene = await source();
  const { manifest } = scene;
  const labels = new Set(manifest.objects.map((o) => o.label));
  const title = [...labels].join(', ') || manifest.prompt.phrases.join(', ');
  document.title = `${title} – scenelift`;
  host.append(
    h('header', { class: 'scene-title' },
      h('h1', {}, title),
      h('p', {}, `${plural(manifest.objects.length, 'object')} · ${manifest.quality} · ${manifest.generator}`)),
  );
  new Viewer(host, scene);
} catch (error) {
  host.append(
    h('p', { class: 'problem', role: 'alert' },
      error instanceof Error ? error.message : 'The scene could not be shown.'),
  );
}
