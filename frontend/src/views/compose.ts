import { api } from '../api/client';
import type { Box, Config, Job } from '../api/types';
import { PhotoCanvas } from '../canvas/photo';
import { Chips } from '../ui/chips';
import { h } from '../ui/dom';
import { bytes } from '../ui/format';
import { icon } from '../ui/icons';
import { problemBox, problemOf } from '../ui/problem';
import type { View } from './view';

const SUBJECTS = ['chair', 'cup', 'person', 'plant', 'shoe', 'lamp'];
const QUALITIES: Record<string, string> = {
  auto: 'Best that runs here',
  embedded: 'Preview, on the CPU',
  open: 'Open models',
  full: 'Full',
};

/** A new scene: choose a photo, say what to lift out of it. */
export function composeView(config: Config, onSubmitted: (job: Job) => void): View {
  const screen = h('div', { class: 'compose' });
  let discard = () => {};

  const choose = (photo: File, phrases: string[] = []) => {
    discard();
    void present(photo, phrases);
  };
  const present = async (photo: File, phrases: string[]) => {
    if (photo.size > config.limits.upload_bytes) {
      welcome(`This photo has ${bytes(photo.size)}; the server takes up to ${bytes(config.limits.upload_bytes)}. Save it smaller, for example as a JPEG, and try again.`);
      return;
    }
    const url = URL.createObjectURL(photo);
    discard = () => URL.revokeObjectURL(url);
    const size = await measure(url);
    screen.replaceChildren(form(config, photo, { url, ...size }, phrases, welcome, onSubmitted));
    screen.querySelector<HTMLInputElement>('#phrases')?.focus({ preventScroll: true });
  };
  const welcome = (problem = '') => {
    discard();
    screen.replaceChildren(start(config, choose, problem));
  };

  const paste = (e: ClipboardEvent) => {
    const photo = [...(e.clipboardData?.files ?? [])].find((f) => f.type.startsWith('image/'));
    if (photo) choose(photo);
  };
  const over = (e: DragEvent) => {
    if (!e.dataTransfer?.types.includes('Files')) return;
    e.preventDefault();
    screen.classList.add('dropping');
  };
  const leave = (e: DragEvent) => {
    if (e.relatedTarget === null) screen.classList.remove('dropping');
  };
  const drop = (e: DragEvent) => {
    e.preventDefault();
    screen.classList.remove('dropping');
    const photo = e.dataTransfer?.files[0];
    if (photo) choose(photo);
  };
  document.addEventListener('paste', paste);
  document.addEventListener('dragover', over);
  document.addEventListener('dragleave', leave);
  document.addEventListener('drop', drop);
  welcome();
  return {
    element: screen,
    dispose() {
      discard();
      document.removeEventListener('paste', paste);
      document.removeEventListener('dragover', over);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('drop', drop);
    },
  };
}

function start(
  config: Config, choose: (photo: File, phrases?: string[]) => void, problem: string,
): HTMLElement {
  const picker = (id: string, capture: boolean) =>
    h('input', {
      id, type: 'file', accept: 'image/*', class: 'sr-only', capture: capture && 'environment',
      onchange: (e: Event) => {
        const photo = (e.target as HTMLInputElement).files?.[0];
        if (photo) choose(photo);
      },
    });
  const examples = config.examples.map((example) =>
    h('button', {
      type: 'button', class: 'example',
      onclick: async () => {
        const blob = await (await fetch(example.url)).blob();
        choose(new File([blob], `${example.name}.png`, { type: blob.type }), [example.prompt]);
      },
    }, h('img', { src: example.url, alt: '', loading: 'lazy' }), h('span', {}, example.name)));
  return h(
    'div', { class: 'welcome' },
    h('h1', {}, 'A photo becomes a 3D scene'),
    h('p', { class: 'lead' }, 'Say what to lift out of it. Every match becomes splats and a mesh, placed where it stood.'),
    problem && h('p', { class: 'problem', role: 'alert' }, problem),
    h('div', { class: 'drop' },
      h('span', { class: 'drop-icon' }, icon('upload')),
      h('p', {}, h('b', {}, 'Drop a photo here'), h('small', {}, 'or paste one from the clipboard')),
      h('div', { class: 'actions' },
        picker('photo-file', false),
        h('label', { for: 'photo-file', class: 'button primary' }, icon('photo'), 'Choose a photo'),
        picker('photo-camera', true),
        h('label', { for: 'photo-camera', class: 'button' }, icon('camera'), 'Camera')),
      h('small', {}, `JPEG, PNG, WebP, HEIC … up to ${bytes(config.limits.upload_bytes)}`)),
    examples.length > 0 &&
      h('div', { class: 'examples' }, h('h2', {}, 'Or try one of these'), h('div', {}, ...examples)),
  );
}

function form(
  config: Config, photo: File, shown: { url: string; width: number; height: number },
  phrases: string[], back: () => void, onSubmitted: (job: Job) => void,
): HTMLElement {
  let boxes: { box: Box; label: string }[] = [];
  const problem = h('div', { class: 'form-problem' });
  const submit = h('button', { type: 'submit', class: 'button primary wide' }, 'Find objects');
  const chips = new Chips('phrases', 'chair, lamp, …', config.limits.max_phrases, () => check());
  const canvas = new PhotoCanvas(shown, 'The chosen photo', {
    draw: (box) => setBoxes([...boxes, { box, label: '' }]),
  });
  const drawn = h('div', { class: 'drawn' });
  const setBoxes = (next: typeof boxes) => {
    boxes = next;
    void canvas.show(boxes.map((b, k) => ({
      number: k, label: b.label || 'box', detail: '', box: b.box, maskUrl: null, kept: true,
    })));
    drawn.replaceChildren(...boxes.map((b, k) =>
      h('span', { class: 'chip' }, `Box ${k + 1}`,
        h('button', {
          type: 'button', 'aria-label': `Remove box ${k + 1}`,
          onclick: () => setBoxes(boxes.filter((other) => other !== b)),
        }, icon('close')))));
    check();
  };
  const check = () => {
    submit.disabled = chips.values.length === 0 && boxes.length === 0;
  };
  const review = h('input', { type: 'checkbox', id: 'review', checked: true });
  review.addEventListener('change', () => {
    submit.textContent = review.checked ? 'Find objects' : 'Make the scene';
  });
  const seed = h('input', { id: 'seed', type: 'number', min: 0, max: 4294967295, value: 0 });
  const most = h('input', { id: 'most', type: 'number', min: 1, max: 99, placeholder: 'all' });
  const names = config.qualities.length ? config.qualities : [config.default_quality];
  const qualities = names.includes(config.default_quality) ? names : [config.default_quality, ...names];
  const quality = h('select', { id: 'quality' }, ...qualities.map((name) =>
    h('option', { value: name, selected: name === config.default_quality }, QUALITIES[name] ?? name)));
  chips.values = phrases;
  check();

  const send = async (e: Event) => {
    e.preventDefault();
    submit.disabled = true;
    problem.replaceChildren(h('p', { class: 'muted', role: 'status' }, 'Sending the photo…'));
    try {
      onSubmitted(await api.submit({
        photo, boxes, phrases: chips.values, seed: Number(seed.value) || 0,
        maxObjects: most.value ? Number(most.value) : null,
        quality: quality.value, review: review.checked,
      }));
    } catch (error) {
      problem.replaceChildren(problemBox(problemOf(error)));
      check();
    }
  };
  return h(
    'div', { class: 'split' },
    h('div', { class: 'photo-frame' }, canvas.element),
    h('form', { class: 'side', onsubmit: send as EventListener },
      h('h1', {}, 'What should be lifted out?'),
      h('div', { class: 'field' },
        h('label', { for: 'phrases' }, 'Things to find'),
        chips.element,
        h('div', { class: 'suggestions' },
          ...SUBJECTS.map((word) => h('button', {
            type: 'button', class: 'chip add', 'aria-label': `Add ${word}`,
            onclick: () => (chips.values = [...chips.values, word]),
          }, icon('plus'), word)))),
      h('p', { class: 'hint' }, 'Or drag a box around something on the photo.'),
      drawn,
      h('div', { class: 'field' }, h('label', { for: 'quality' }, 'Quality'), quality),
      h('details', {},
        h('summary', {}, 'More options'),
        h('div', { class: 'pair' },
          h('div', { class: 'field' }, h('label', { for: 'seed' }, 'Seed'), seed),
          h('div', { class: 'field' }, h('label', { for: 'most' }, 'At most'), most)),
        h('label', { class: 'check', for: 'review' }, review, 'Show me what was found first')),
      problem,
      submit,
      h('button', { type: 'button', class: 'button quiet wide', onclick: () => back() }, 'Another photo')),
  );
}

async function measure(url: string): Promise<{ width: number; height: number }> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    // The server reads formats that this browser does not show (HEIC, for example).
    return { width: 4, height: 3 };
  }
}
