import { api } from '../api/client';
import type { Job } from '../api/types';
import { Chips } from '../ui/chips';
import { h } from '../ui/dom';
import { problemBox, problemOf } from '../ui/problem';

/** The same photo again, with other phrases or another seed. */
export function againForm(
  job: Job, mostPhrases: number, onSubmitted: (job: Job) => void,
): { element: HTMLElement; suggest: (phrase: string) => void } {
  const chips = new Chips('again-phrases', 'other things to find', mostPhrases);
  chips.values = job.prompt.phrases;
  const seed = h('input', { id: 'again-seed', type: 'number', min: 0, max: 4294967295, value: job.seed + 1 });
  const problem = h('div', { class: 'form-problem' });
  const run = h('button', { type: 'submit', class: 'button wide' }, 'Run again');
  const submit = async (e: Event) => {
    e.preventDefault();
    run.disabled = true;
    const phrases = chips.values;
    const changed = phrases.join(';') !== job.prompt.phrases.join(';');
    try {
      const change = { seed: Number(seed.value) || 0, ...(changed && phrases.length ? { text_prompt: phrases } : {}) };
      onSubmitted(await api.rerun(job.id, change));
    } catch (error) {
      problem.replaceChildren(problemBox(problemOf(error)));
      run.disabled = false;
    }
  };
  return {
    element: h('form', { class: 'again', onsubmit: submit as EventListener },
      h('div', { class: 'field' }, h('label', { for: 'again-phrases' }, 'Things to find'), chips.element),
      h('div', { class: 'field' }, h('label', { for: 'again-seed' }, 'Seed'), seed),
      problem, run),
    suggest: (phrase) => (chips.values = [phrase]),
  };
}
