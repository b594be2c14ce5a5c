import type { Job } from '../api/types';
import { h } from '../ui/dom';
import { problemBox } from '../ui/problem';
import { againForm } from './again';
import type { View } from './view';

/** A job that failed or was stopped: why, and what to do next. */
export function endedView(job: Job, mostPhrases: number, onSubmitted: (job: Job) => void): View {
  const again = againForm(job, mostPhrases, onSubmitted);
  return {
    element: h(
      'div', { class: 'split' },
      h('div', { class: 'photo-frame' },
        h('div', { class: 'photo', style: `--w:${job.image.width};--h:${job.image.height}` },
          h('img', { src: job.image.url, alt: 'The photo' }))),
      h('div', { class: 'side' },
        h('h1', {}, job.state === 'cancelled' ? 'Stopped' : 'This scene was not made'),
        job.error && job.state === 'failed'
          ? problemBox(job.error, (phrase) => again.suggest(phrase))
          : h('p', { class: 'hint' }, 'You stopped this job. Run it again whenever you like.'),
        again.element)),
  };
}
