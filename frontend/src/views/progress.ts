import { api } from '../api/client';
import type { Job } from '../api/types';
import { PhotoCanvas } from '../canvas/photo';
import { h } from '../ui/dom';
import { duration, percent } from '../ui/format';
import { icon } from '../ui/icons';
import { css, objectColor } from '../ui/palette';
import { toast } from '../ui/toast';
import type { View } from './view';

/** A job at work: the stages, each object, and how long it will still take. */
export function progressView(first: Job, onChanged: (job: Job) => void): View {
  const canvas = new PhotoCanvas(first.image, 'The photo');
  const title = h('h1');
  const bar = h('div', { class: 'bar big', role: 'progressbar', 'aria-label': first.finding ? 'Finding objects' : 'The whole job', 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i'));
  const left = h('p', { class: 'left' });
  const list = h('ol', { class: 'stages' });
  const objects = h('ul', { class: 'object-progress' });
  const announcement = h('p', { class: 'sr-only', role: 'status' });
  let marked = -1;

  const update = (job: Job) => {
    const all = job.stages;
    const at = all.findIndex(({ name }) => name === job.stage);
    const waiting = job.state === 'queued';
    const stage = all[at]?.title ?? 'Getting ready';
    title.textContent = waiting ? 'Waiting for its turn' : stage;
    const text = waiting
      ? `Number ${job.position ?? 1} in the queue${begins(job.starts_in_seconds)}. You can close this page; the job goes on.`
      : job.eta_seconds === null ? 'Estimating the time left…' : `About ${duration(job.eta_seconds)} left`;
    left.textContent = text;
    setBar(bar, job.fraction);
    bar.classList.toggle('idle', waiting);
    if (announcement.textContent !== title.textContent) announcement.textContent = title.textContent;
    list.replaceChildren(...all.map(({ title: label, seconds }, k) => {
      const state = k < at ? 'past' : k === at && !waiting ? 'now' : 'later';
      return h('li', { class: state, 'aria-current': state === 'now' && 'step' },
        h('span', { class: 'dot-mark' }, state === 'past' ? icon('check') : null), label,
        state !== 'past' && seconds !== null && h('small', {}, `about ${duration(Math.max(1, seconds))}`));
    }));
    const things = job.objects.flatMap((o) => (o.index === null ? [] : [{ ...o, index: o.index }]));
    objects.replaceChildren(...things.map((o) => {
      const line = h('div', { class: 'bar', role: 'progressbar', 'aria-label': o.label, 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('i'));
      setBar(line, o.state === 'done' ? 1 : o.fraction);
      const note = { waiting: 'waiting', running: percent(o.fraction), done: 'done', failed: 'failed', dropped: 'left out' }[o.state];
      return h('li', { class: o.state, style: `--mark:${css(objectColor(o.index))}`, title: o.reason },
        h('span', { class: 'swatch', style: 'background:var(--mark)' }), h('b', {}, o.label), line, h('small', {}, note));
    }));
    if (things.length !== marked) {
      marked = things.length;
      void canvas.show(things.map((o) => ({
        number: o.index, label: o.label, detail: '', box: o.box, maskUrl: o.mask_url, included: true,
      })));
    }
  };
  const cancel = h('button', { type: 'button', class: 'button', onclick: () => {
    cancel.disabled = true;
    cancel.textContent = 'Stopping…';
    api.cancel(first.id).then(onChanged, (error: unknown) => {
      toast(error);
      cancel.disabled = false;
      cancel.textContent = 'Cancel';
    });
  } }, 'Cancel');
  update(first);
  return {
    element: h(
      'div', { class: 'split' },
      h('div', { class: 'photo-frame working' }, canvas.element),
      h('div', { class: 'side' }, title, left, bar, announcement, list, objects, cancel)),
    update,
  };
}

function begins(seconds: number | null): string {
  if (seconds === null) return '';
  return seconds < 5 ? ', its turn is next' : `, its turn is in about ${duration(seconds)}`;
}

function setBar(bar: HTMLElement, fraction: number): void {
  const value = Math.round(100 * Math.min(1, Math.max(0, fraction)));
  bar.setAttribute('aria-valuenow', String(value));
  bar.style.setProperty('--value', `${value}%`);
}
