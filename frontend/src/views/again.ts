import { api } from '../api/client';
import type { Job } from '../api/types';
import type { DrawnBoxes } from '../canvas/drawn';
import { Chips } from '../ui/chips';
import { h } from '../ui/dom';
import { problemBox, problemOf } from '../ui/problem';

/** The same photo again, with another seed, other phrases and, where they can be drawn, boxes. */
export function againForm(
  job: Job, mostPhrases: number, onSubmitted: (job: Job) => void, boxes: DrawnBoxes | null = null,
): { element: HTMLElement; suggest: (phrase: string) => void; check: () => void } {
  const chips = new Chips('again-phrases', 'other things', mostPhrases, () => check());
  const seed = h('input', { id: 'again-seed', type: 'number', min: 0, max: 4294967295, value: job.seed + 1 });
  const problem = h('div', { class: 'form-problem' });
  const run = h('button', { type: 'submit', class: boxes ? 'button primary wide' : 'button wide' }, 'Run again');
  const check = () => {
    const none = boxes !== null && chips.values.length === 0 && boxes.values.length === 0;
    run.textContent = none ? 'Point at things' : 'Run again';
  };
  chips.values = job.prompt.phrases;
  const submit = async (e: Event) => {
    e.preventDefault();
    run.disabled = true;
    try {
      onSubmitted(await api.rerun(job.id, {
        seed: Number(seed.value) || 0, text_prompt: chips.values,
        ...(boxes ? { boxes: boxes.values } : {}),
      }));
    } catch (error) {
      problem.replaceChildren(problemBox(problemOf(error)));
      run.disabled = false;
    }
  };
  return {
    element: h('form', { class: 'again', onsubmit: submit as EventListener },
      h('div', { class: 'field' }, h('label', { for: 'again-phrases' }, 'Things to find'), chips.element),
      boxes?.rows, boxes?.button,
      h('div', { class: 'field' }, h('label', { for: 'again-seed' }, 'Seed'), seed),
      problem, run),
    suggest: (phrase) => (chips.values = [phrase]),
    check,
  };
}
