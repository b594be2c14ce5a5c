import { api } from '../api/client';
import type { Config, Job } from '../api/types';
import { DrawnBoxes } from '../canvas/drawn';
import { PhotoCanvas } from '../canvas/photo';
import { Chips } from '../ui/chips';
import { h } from '../ui/dom';
import { percent } from '../ui/format';
import { icon } from '../ui/icons';
import { problemBox, problemOf } from '../ui/problem';
import { field, optionFields } from './options';

const SUBJECTS = ['chair', 'cup', 'person', 'plant', 'shoe', 'lamp'];
const QUALITIES: Record<string, string> = {
  auto: 'Best that runs here',
  embedded: 'Preview, on the CPU',
  light: 'Any phrase, on the CPU',
  pbr: 'Materials: metal, gloss, glass',
  open: 'Open models',
  full: 'Full',
};

/**
 * What to lift out of a photo, and how.
 *
 * `preview` is the photo at the size that boxes refer to; null where this browser cannot show it.
 */
export function photoForm(
  config: Config, photo: File, preview: { url: string; width: number; height: number } | null,
  phrases: string[], back: () => void, onSubmitted: (job: Job) => void,
): HTMLElement {
  const problem = h('div', { class: 'form-problem' });
  const review = h('input', { type: 'checkbox', id: 'review', checked: true });
  const submit = h('button', { type: 'submit', class: 'button primary wide' }, 'Find objects');
  const chips = new Chips('phrases', 'chair, lamp, …', config.limits.max_phrases, () => check());
  const { frame, boxes } = drawing(preview, () => check());
  const words = SUBJECTS.map((word) => h('button', {
    type: 'button', class: 'chip add', 'aria-label': `Add ${word}`,
    onclick: () => (chips.values = [...chips.values, word]),
  }, icon('plus'), word));
  const check = () => {
    const phrasesNow = chips.values;
    const none = phrasesNow.length === 0 && !boxes?.values.length;
    submit.disabled = none && !review.checked; // else everything is pointed at
    submit.textContent = !review.checked ? 'Make the scene' : none ? 'Point at things' : 'Find objects';
    words.forEach((button, k) => (button.hidden = phrasesNow.includes(SUBJECTS[k] ?? '')));
  };
  review.addEventListener('change', () => check());
  const seed = h('input', { id: 'seed', type: 'number', min: 0, max: config.options.seed?.maximum, value: 0 });
  const most = h('input', { id: 'most', type: 'number', min: 1, max: config.options.max_objects?.maximum, placeholder: 'all' });
  const quality = qualities(config);
  const options = optionFields(config.options);
  chips.values = phrases;

  const more = h('details', {},
    h('summary', {}, 'More options'),
    h('div', { class: 'pair' },
      config.options.seed && field('seed', config.options.seed, seed),
      config.options.max_objects && field('most', config.options.max_objects, most)),
    h('label', { class: 'check', for: 'review' }, review, 'Show me what was found first'),
    options.element);
  // A field that is refused must be seen, or nobody knows why nothing is sent. The event does not
  // bubble, but it is captured.
  more.addEventListener('invalid', () => (more.open = true), true);

  const send = async (e: Event) => {
    e.preventDefault();
    submit.disabled = true;
    const sending = h('p', { class: 'muted', role: 'status' }, 'Sending the photo…');
    problem.replaceChildren(sending);
    try {
      onSubmitted(await api.submit({
        photo, boxes: boxes?.values ?? [], phrases: chips.values, seed: Number(seed.value) || 0,
        maxObjects: most.value ? Number(most.value) : null,
        quality: quality.value, review: review.checked, options: options.values(),
      }, (sent) => (sending.textContent = sent < 1 ? `Sending the photo, ${percent(Math.floor(sent * 10) / 10)}` : 'Looking at the photo…')));
    } catch (error) {
      problem.replaceChildren(problemBox(problemOf(error)));
      check();
    }
  };
  return h(
    'div', { class: 'split' },
    frame,
    h('form', { class: 'side', onsubmit: send as EventListener },
      h('h1', {}, 'What should be lifted out?'),
      h('div', { class: 'field' },
        h('label', { for: 'phrases' }, 'Things to find'),
        chips.element,
        h('div', { class: 'suggestions' }, ...words)),
      boxes && h('p', { class: 'hint' }, 'Or drag a box around something on the photo, or leave it all empty and point at things.'),
      boxes?.rows, boxes?.button,
      h('div', { class: 'field' }, h('label', { for: 'quality' }, 'Quality'), quality),
      more,
      problem,
      submit,
      h('button', { type: 'button', class: 'button quiet wide', onclick: () => back() }, 'Another photo')),
  );
}

function drawing(
  preview: { url: string; width: number; height: number } | null, onChange: () => void,
): { frame: HTMLElement; boxes: DrawnBoxes | null } {
  if (!preview) {
    const text = 'This browser cannot show the photo. The server can read more kinds, HEIC among them.';
    return { frame: h('div', { class: 'photo-frame' }, h('p', { class: 'hint' }, text)), boxes: null };
  }
  const boxes = new DrawnBoxes(preview, 0, () => {
    void canvas.show(boxes.marks);
    onChange();
  });
  const canvas = new PhotoCanvas(preview, 'The chosen photo', {
    draw: (box) => boxes.add(box), toggle: (mark) => boxes.remove(mark),
  });
  return { frame: h('div', { class: 'photo-frame' }, canvas.element), boxes };
}

function qualities({ qualities, default_quality }: Config): HTMLSelectElement {
  const names = new Set([default_quality, ...qualities]);
  return h('select', { id: 'quality' }, ...[...names].map((name) =>
    h('option', { value: name, selected: name === default_quality }, QUALITIES[name] ?? name)));
}
