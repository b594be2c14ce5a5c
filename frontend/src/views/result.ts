import { api } from '../api/client';
import type { Job } from '../api/types';
import { confirmed } from '../ui/confirm';
import { h } from '../ui/dom';
import { icon } from '../ui/icons';
import { percent, plural } from '../ui/format';
import { problemBox, problemOf } from '../ui/problem';
import { againForm } from './again';
import { sendSection } from './send';
import type { View } from './view';

/** The finished scene. Viewer and editor are code of their own, loaded when first needed. */
export function resultView(job: Job, mostPhrases: number, shareDays: number, onSubmitted: (job: Job) => void): View {
  let current = job;
  let resultView: ResultView | null = null;
  let turn = 0; // of what is shown: what was asked for before, and comes late, is dropped
  const heading = h('h1', {}), about = h('p', {});
  const edit = h('button', { type: 'button', class: 'button edit-scene', onclick: () => replace(openEditor) }, icon('edit'), 'Edit');
  const before = h('button', { type: 'button', class: 'button', hidden: true, 'aria-pressed': 'false',
    title: 'The scene as the run wrote it, from the same place' }, 'Before the edits');
  const host = h('div', { class: 'result' },
    h('header', { class: 'scene-title' }, heading, about, h('span', { class: 'spacer' }), before, edit));
  const waiting = h('div', { class: 'opening' },
    h('img', { src: job.image.url, alt: '' }), h('p', { role: 'status' }, 'Opening the viewer…'));

  const describe = () => {
    heading.textContent = title(current);
    about.textContent = [facts(current), writing(current)].filter(Boolean).join(' · ');
  };
  /** @param first the scene as its run wrote it. @param stand where to look from. */
  const openViewer = async (first = false, stand?: Stand): Promise<ResultView> => {
    const written = current.edit?.written ?? 0;
    const [{ Viewer }, { folderSource }, { TakeAway }] = await Promise.all([
      import('../viewer/viewer'), import('../viewer/source'), import('./takeAway'),
    ]);
    const source = await folderSource(first ? `api/jobs/${job.id}/original/scene.json` : current.manifest_url ?? '');
    const takeAway = new TakeAway(current);
    return {
      start(place) {
        const viewer = new Viewer(place, source, { zip: first ? null : `api/jobs/${job.id}/scene.zip` });
        const { view } = viewer;
        const { edited } = source.manifest;
        edit.hidden = view === null || first;
        before.hidden = view === null || (!first && !edited);
        before.setAttribute('aria-pressed', String(first));
        if (view && stand) void view.loaded.then(() => view.stage.lookFrom(seenFrom(stand, edited?.scale ?? 1)));
        before.onclick = () => {
          if (view) replace(() => openViewer(!first, { viewpoint: view.stage.viewpoint, unit: edited?.scale ?? 1 }));
        };
        takeAway.follow(current.export);
        viewer.panel.append(
          takeAway.element,
          sendSection(current, shareDays),
          h('section', {}, h('h2', {}, 'Same photo again'), againForm(current, mostPhrases, onSubmitted).element));
        return () => viewer.dispose();
      },
      follow() {
        takeAway.follow(current.export);
        if ((current.edit?.written ?? 0) !== written) replace(() => openViewer());
      },
    };
  };
  const openEditor = async (): Promise<ResultView> => {
    const [{ Viewer }, { folderSource }, { Editor }, { Session }, edits] = await Promise.all([
      import('../viewer/viewer'), import('../viewer/source'), import('../edit/editor'), import('../edit/session'),
      api.edits(job.id),
    ]);
    const source = await folderSource(edits.original_url);
    let follow = () => {};
    return {
      start(place) {
        const viewer = new Viewer(place, source, { bare: true });
        edit.hidden = true;
        if (!viewer.view) throw new Error('This browser can draw nothing in 3D.');
        const close = async () => {
          const sure = !editor.unsaved
            || await confirmed('Close without saving?', 'What you changed since you saved is lost.', 'Close');
          if (sure) replace(() => openViewer());
        };
        const editor = new Editor(viewer.view, viewer.panel, new Session(job.id, edits), () => void close());
        follow = () => current.edit && editor.follow(current.edit);
        follow();
        return () => {
          editor.dispose();
          viewer.dispose();
        };
      },
      follow: () => follow(),
    };
  };

  const replace = (open: () => Promise<ResultView>) => {
    const mine = ++turn;
    end();
    end = () => {};
    resultView = null;
    edit.hidden = before.hidden = true;
    host.append(waiting);
    open().then((opened) => {
      if (mine !== turn) return;
      waiting.remove();
      resultView = opened;
      end = opened.start(host);
    }).catch((error: unknown) => {
      if (mine === turn) waiting.replaceChildren(problemBox(problemOf(error)));
    });
  };
  let end = () => {};
  describe();
  replace(() => openViewer());
  return {
    element: host,
    update(changed) {
      current = changed;
      describe();
      resultView?.follow();
    },
    dispose() {
      turn++;
      end();
    },
  };
}

/** A viewer or an editor that has what it needs. */
interface ResultView {
  /** Returns what ends it. */
  start(place: HTMLElement): () => void;
  /** The job has changed. */
  follow(): void;
}

/** Where somebody looks at a scene from, and what one unit of the run is there. */
interface Stand {
  viewpoint: number[];
  unit: number;
}

/** The same place in a scene whose unit is another one. */
function seenFrom({ viewpoint, unit }: Stand, other: number): number[] {
  return viewpoint.map((value, k) => (k < 6 ? (value * other) / unit : value));
}

/** How far edits are written, where they are. */
function writing({ edit }: Job): string {
  if (edit?.state === 'waiting') return 'edits wait to be written';
  if (edit?.state === 'writing') return `writing edits, ${percent(edit.fraction)}`;
  return edit?.state === 'cancelled' ? 'edits saved, not written' : '';
}

/** What is in the scene, or was asked for where that is not known yet. */
export function title(job: Job): string {
  const labels = job.objects.filter((o) => o.index !== null).map((o) => o.label);
  return [...new Set(labels)].join(', ') || job.prompt.phrases.join(', ') || 'Scene';
}

function facts(job: Job): string {
  const count = job.objects.filter((o) => o.state === 'done').length;
  // What "auto" took stands in the notes.
  const quality = job.quality === 'auto' ? '' : `quality ${job.quality}`;
  return [plural(count, 'object'), quality, `seed ${job.seed}`].filter(Boolean).join(' · ');
}
