import { api } from '../api/client';
import type { Job, ShareState } from '../api/types';
import { h } from '../ui/dom';
import { icon } from '../ui/icons';
import { toast } from '../ui/toast';

const LIVES: readonly [number, string][] = [[1, 'a day'], [7, 'a week'], [30, 'a month'], [365, 'a year']];

/** Give a scene to others: as one page to send, and, where the server allows it, as a link. */
export function sendSection(job: Job, mostDays: number): HTMLElement {
  const page = h('a', { class: 'file', href: `api/jobs/${job.id}/scene.html`, download: 'scene.html' },
    icon('download'), h('span', {}, h('b', {}, 'One page'), h('small', {}, 'scene and viewer in an HTML file')));
  return h('section', { class: 'downloads' }, h('h2', {}, 'Send it'),
    h('ul', {}, h('li', {}, page)), mostDays > 0 && link(job, mostDays));
}

function link(job: Job, mostDays: number): HTMLElement {
  const box = h('div', { class: 'share' });
  const show = (state: ShareState) => {
    const until = state.expires && new Date(state.expires).toLocaleDateString();
    box.replaceChildren(...(state.expires ? shared(state, String(until)) : [offer()]));
  };
  const run = (work: Promise<ShareState>) => void work.then(show, toast);
  const offer = () => {
    const life = h('select', { 'aria-label': 'How long the link lives' },
      ...LIVES.filter(([days]) => days <= Math.max(1, mostDays)).map(([days, name]) =>
        h('option', { value: days, selected: days === 7 }, name)));
    return h('div', { class: 'selection-tools' }, life, h('button', {
      type: 'button', class: 'button', onclick: () => run(api.share(job.id, Number(life.value))),
    }, 'Make a link'));
  };
  const shared = (state: ShareState, until: string): HTMLElement[] => {
    const address = state.url && new URL(state.url, document.baseURI).href;
    const field = h('input', { type: 'text', readonly: true, value: address ?? '', 'aria-label': 'The link', onfocus: () => field.select() });
    const copy = h('button', { type: 'button', class: 'button', onclick: () => {
      field.select();
      void navigator.clipboard?.writeText(field.value).then(() => (copy.textContent = 'Copied'), toast);
    } }, 'Copy');
    const end = h('button', {
      type: 'button', class: 'button', onclick: () => run(api.unshare(job.id).then(() => ({ expires: null, url: null }))),
    }, 'End the link');
    return [
      ...(address ? [h('div', { class: 'selection-tools' }, field, copy)] : []),
      h('p', { class: 'hint' }, `Whoever has the link sees this scene, and nothing else, until ${until}.`,
        address ? ' It is shown this once.' : ''),
      end,
    ];
  };
  run(api.shared(job.id));
  return box;
}
