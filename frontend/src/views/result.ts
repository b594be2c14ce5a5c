import type { Job } from '../api/types';
import { h } from '../ui/dom';
import { plural } from '../ui/format';
import { problemBox, problemOf } from '../ui/problem';
import { againForm } from './again';
import type { View } from './view';

/** The finished scene. The viewer is code of its own, loaded when first needed. */
export function resultView(job: Job, mostPhrases: number, onSubmitted: (job: Job) => void): View {
  const host = h('div', { class: 'result' },
    h('header', { class: 'scene-title' },
      h('h1', {}, title(job)), h('p', {}, facts(job))));
  const waiting = h('div', { class: 'opening' },
    h('img', { src: job.image.url, alt: '' }), h('p', { role: 'status' }, 'Opening the viewer…'));
  host.append(waiting);
  let disposed = false;
  let dispose = () => {};
  const open = async () => {
    const [{ Viewer }, { folderSource }] = await Promise.all([
      import('../viewer/viewer'), import('../viewer/source'),
    ]);
    const source = await folderSource(job.manifest_url ?? '');
    if (disposed) return;
    waiting.remove();
    const viewer = new Viewer(host, source);
    viewer.panel.append(
      h('section', {}, h('h2', {}, 'Same photo again'), againForm(job, mostPhrases, onSubmitted).element));
    dispose = () => viewer.dispose();
  };
  open().catch((error: unknown) => waiting.replaceChildren(problemBox(problemOf(error))));
  return {
    element: host,
    dispose() {
      disposed = true;
      dispose();
    },
  };
}

/** What is in the scene, or was asked for where that is not known yet. */
export function title(job: Job): string {
  const labels = job.objects.filter((o) => o.index !== null).map((o) => o.label);
  return [...new Set(labels)].join(', ') || job.prompt.phrases.join(', ') || 'Scene';
}

function facts(job: Job): string {
  const made = job.objects.filter((o) => o.state === 'done').length;
  return [plural(made, 'object'), `quality ${job.quality}`, `seed ${job.seed}`].join(' · ');
}
