import type { Job } from '../api/types';
import { DrawnBoxes } from '../canvas/drawn';
import { PhotoCanvas } from '../canvas/photo';
import { h } from '../ui/dom';
import { problemBox } from '../ui/problem';
import { againForm } from './again';
import type { View } from './view';

/** A job that failed or was stopped: why, and what to do next. */
export function endedView(job: Job, mostPhrases: number, onSubmitted: (job: Job) => void): View {
  const boxes = new DrawnBoxes(job.image, 0, () => {
    void canvas.show(boxes.marks);
    again.check();
  }, job.prompt.boxes);
  const canvas = new PhotoCanvas(job.image, 'The photo', {
    draw: (box) => boxes.add(box), toggle: (mark) => boxes.remove(mark),
  });
  void canvas.show(boxes.marks);
  const again = againForm(job, mostPhrases, onSubmitted, boxes);
  return {
    element: h(
      'div', { class: 'split' },
      h('div', { class: 'photo-frame' }, canvas.element),
      h('div', { class: 'side' },
        h('h1', {}, job.state === 'cancelled' ? 'Stopped' : 'This scene was not made'),
        job.error && job.state === 'failed'
          ? problemBox(job.error, (phrase) => again.suggest(phrase))
          : h('p', { class: 'hint' }, 'You stopped this job. Run it again whenever you like.'),
        again.element)),
  };
}
