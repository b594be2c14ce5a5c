import { api } from '../api/client';
import type { Box, Job } from '../api/types';
import { PhotoCanvas, type Mark } from '../canvas/photo';
import { h, iconButton } from '../ui/dom';
import { percent, plural } from '../ui/format';
import { icon } from '../ui/icons';
import { css, objectColor } from '../ui/palette';
import { problemBox, problemOf } from '../ui/problem';
import type { View } from './view';

/** Look at the masks before paying for 3D: keep, drop, add. */
export function reviewView(job: Job, onChanged: (job: Job) => void): View {
  const found = job.objects.flatMap((o) => (o.index === null ? [] : [{ ...o, index: o.index }]));
  const dropped = new Set<number>();
  let added: { box: Box; label: string }[] = [];
  const { width, height } = job.image;

  const list = h('ul', { class: 'choices' });
  const problem = h('div', { class: 'form-problem' });
  const proceed = h('button', { type: 'button', class: 'button primary wide' });
  const canvas = new PhotoCanvas(job.image, 'The photo with the objects found', {
    toggle: (mark) => {
      const object = found[mark];
      if (object) toggle(object.index);
      else setAdded(added.filter((_, k) => k !== mark - found.length));
    },
    draw: (box) => setAdded([...added, { box, label: '' }]),
  });

  const toggle = (index: number) => {
    if (!dropped.delete(index)) dropped.add(index);
    refresh();
  };
  const setAdded = (next: typeof added) => {
    added = next;
    refresh();
  };
  const addInTheMiddle = () => {
    setAdded([...added, { box: [width * 0.35, height * 0.35, width * 0.65, height * 0.65], label: '' }]);
    list.querySelector<HTMLElement>('li:last-child .move')?.focus();
  };
  const show = () => {
    const marks: Mark[] = found.map((o) => ({
      number: o.index, label: o.label, detail: percent(o.score), box: o.box, maskUrl: o.mask_url,
      kept: !dropped.has(o.index),
    }));
    added.forEach(({ box, label }, k) =>
      marks.push({ number: found.length + k, label: label || 'added', detail: '', box, maskUrl: null, kept: true }));
    void canvas.show(marks);
  };
  const refresh = () => {
    show();
    list.replaceChildren(
      ...found.map((o) => {
        const id = `keep-${o.index}`;
        const box = h('input', { type: 'checkbox', id, checked: !dropped.has(o.index), onchange: () => toggle(o.index) });
        return h('li', { style: `--mark:${css(objectColor(o.index))}` },
          box, h('label', { for: id }, h('b', {}, o.label), h('small', {}, `${percent(o.score)} sure`)));
      }),
      ...added.map((entry, k) =>
        h('li', { style: `--mark:${css(objectColor(found.length + k))}` },
          h('span', { class: 'swatch', style: 'background:var(--mark)' }),
          h('input', {
            type: 'text', value: entry.label, placeholder: 'What is it?', 'aria-label': `Name of added box ${k + 1}`, maxlength: 80,
            oninput: (e: Event) => {
              entry.label = (e.target as HTMLInputElement).value;
              show();
            },
          }),
          iconButton(icon('frame'), `Move box ${k + 1}: arrow keys; with Shift, its size`, () => {}, {
            class: 'icon move',
            onkeydown: ((e: KeyboardEvent) => {
              const box = PhotoCanvas.moved(e.key, e.shiftKey, entry.box, width, height);
              if (!box) return;
              e.preventDefault();
              entry.box = box;
              show();
            }) as EventListener,
          }),
          iconButton(icon('close'), `Remove box ${k + 1}`, () => setAdded(added.filter((other) => other !== entry))))),
    );
    const n = found.length - dropped.size + added.length;
    proceed.textContent = n ? `Reconstruct ${plural(n, 'object')}` : 'Nothing to reconstruct';
    proceed.disabled = n === 0;
  };
  proceed.addEventListener('click', () => {
    proceed.disabled = true;
    const keep = found.map((o) => o.index).filter((index) => !dropped.has(index));
    api.proceed(job.id, keep, added).then(onChanged, (error: unknown) => {
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
        h('h1', {}, found.length ? `Found ${plural(found.length, 'object')}` : 'Found nothing'),
        h('p', { class: 'hint' }, 'Click an object to drop or keep it. Drag a box to add one.'),
        list,
        h('button', { type: 'button', class: 'button quiet', onclick: addInTheMiddle }, icon('plus'), 'Add a box'),
        problem, proceed,
        h('button', {
          type: 'button', class: 'button quiet wide',
          onclick: () => void api.cancel(job.id).then(onChanged, () => {}),
        }, 'Cancel')),
    ),
  };
}
