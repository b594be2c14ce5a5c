import { api } from '../api/client';
import type { Box, Job } from '../api/types';
import { DrawnBoxes } from '../canvas/drawn';
import { PhotoCanvas, type Mark } from '../canvas/photo';
import { h } from '../ui/dom';
import { percent, plural } from '../ui/format';
import { css, objectColor } from '../ui/palette';
import { problemBox, problemOf } from '../ui/problem';
import { toast } from '../ui/toast';
import type { View } from './view';

/** What was dropped before another look, by job: objects may come back in another order. */
const leftOut = new Map<string, string[]>();
const sameAs = (o: { label: string; box: Box }): string => `${o.label} ${o.box.join()}`;

/** Look at the masks before paying for 3D: keep, drop, add. */
export function reviewView(job: Job, onChanged: (job: Job) => void): View {
  const found = job.objects.flatMap((o) => (o.index === null ? [] : [{ ...o, index: o.index }]));
  const before = leftOut.get(job.id) ?? [];
  const dropped = new Set(found.filter((o) => before.includes(sameAs(o))).map((o) => o.index));
  const problem = h('div', { class: 'form-problem' });
  const proceed = h('button', { type: 'button', class: 'button primary wide' });
  const drawn = new DrawnBoxes(job.image, found.length, () => refresh());
  const look = h('button', { type: 'button', class: 'button wide' }, 'Show what is in the boxes');
  const canvas = new PhotoCanvas(job.image, 'The photo with the objects found', {
    toggle: (mark) => {
      const object = found[mark];
      if (object) toggle(object.index);
      else drawn.remove(mark - found.length);
    },
    draw: (box) => drawn.add(box),
  });

  const choices = found.map((o) => {
    const id = `keep-${o.index}`;
    const box = h('input', { type: 'checkbox', id, checked: true, onchange: () => toggle(o.index) });
    const row = h('li', { style: `--mark:${css(objectColor(o.index))}` },
      box, h('label', { for: id }, h('b', {}, o.label), h('small', {}, sureness(o.score))));
    return { index: o.index, box, row };
  });
  const toggle = (index: number) => {
    if (!dropped.delete(index)) dropped.add(index);
    refresh();
  };
  const refresh = () => {
    const marks: Mark[] = found.map((o) => ({
      number: o.index, label: o.label, detail: o.score < 1 ? percent(o.score) : '', box: o.box, maskUrl: o.mask_url,
      kept: !dropped.has(o.index),
    }));
    void canvas.show([...marks, ...drawn.marks]);
    for (const { index, box } of choices) box.checked = !dropped.has(index);
    const n = found.length - dropped.size + drawn.values.length;
    proceed.textContent = n ? `Reconstruct ${plural(n, 'object')}` : 'Nothing to reconstruct';
    proceed.disabled = n === 0;
    look.hidden = drawn.values.length === 0;
  };
  look.addEventListener('click', () => {
    look.disabled = true;
    leftOut.set(job.id, found.filter((o) => dropped.has(o.index)).map(sameAs));
    api.look(job.id, drawn.values).then(onChanged, (error: unknown) => {
      look.disabled = false;
      problem.replaceChildren(problemBox(problemOf(error)));
    });
  });
  proceed.addEventListener('click', () => {
    proceed.disabled = true;
    const keep = found.map((o) => o.index).filter((index) => !dropped.has(index));
    api.proceed(job.id, keep, drawn.values).then(onChanged, (error: unknown) => {
      proceed.disabled = false;
      problem.replaceChildren(problemBox(problemOf(error)));
    });
  });
  refresh();
  return {
    element: h(
      'div', { class: 'split' },
      h('div', { class: 'photo-frame' }, canvas.element),
      h('div', { class: 'side' },
        h('h1', {}, `Found ${plural(found.length, 'object')}`),
        h('p', { class: 'hint' }, 'Click an object to drop or keep it. Drag a box to add one.'),
        h('ul', { class: 'choices', 'aria-label': 'Objects found' }, ...choices.map(({ row }) => row)),
        drawn.rows, drawn.button,
        job.notes.length > 0 && h('ul', { class: 'remarks' }, ...job.notes.map((note) => h('li', {}, note))),
        problem, look, proceed,
        h('button', {
          type: 'button', class: 'button quiet wide',
          onclick: () => void api.cancel(job.id).then(onChanged, toast),
        }, 'Cancel')),
    ),
  };
}

/** How sure the model is; what the user drew a box around is not the model's to judge. */
export function sureness(score: number): string {
  return score < 1 ? `${percent(score)} sure` : 'in your box';
}
