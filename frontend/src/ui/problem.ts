import { ApiError } from '../api/client';
import type { Problem } from '../api/types';
import { h } from './dom';
import { icon } from './icons';
import { Notice } from './notice';

/** What each kind of problem is called on the page; the detail says what to do. */
const TITLES: Record<string, string> = {
  'bad-input': 'Something in the form cannot be used',
  'bad-image': 'This photo cannot be read',
  'nothing-found': 'Nothing found',
  'too-large': 'The photo is too large',
  'limit-reached': 'Too many jobs at once',
  'too-many-requests': 'A little too fast',
  'backend-unavailable': 'This quality cannot run here',
  weights: 'Model weights are missing',
  setup: 'The server is not set up for this',
  'not-ready': 'The server is not ready yet',
  'storage-full': 'The server’s disk is full',
  'bad-output': 'The server’s disk cannot be written',
  'out-of-memory': 'The server ran out of memory',
  'worker-failed': 'The worker died on this photo',
  'object-failed': 'No object could be reconstructed',
  'not-found': 'This scene is not here',
  conflict: 'This has changed in the meantime',
  unauthorized: 'Not signed in',
  unreachable: 'No connection to the server',
};

export function slug(problem: Problem): string {
  return problem.type.split(':').at(-1) ?? '';
}

export function problemBox(problem: Problem, onSuggestion?: (phrase: string) => void): HTMLElement {
  const suggestions = (onSuggestion && problem.suggestions) || [];
  return h(
    'div',
    { class: 'problem-box', role: 'alert' },
    icon('warning'),
    h('div', {},
      h('h3', {}, TITLES[slug(problem)] ?? 'This did not work'),
      h('p', {}, problem.detail),
      suggestions.length > 0 &&
        h('div', { class: 'suggestions' }, h('span', {}, 'Try:'),
          ...suggestions.map((phrase) =>
            h('button', { type: 'button', class: 'chip', onclick: () => onSuggestion?.(phrase) }, phrase)))),
  );
}

/** The problem behind anything that was thrown. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const message = error instanceof Error ? error.message : String(error);
  return {
    type: 'urn:scenelift:problem:page', title: 'page error', status: 0,
    detail: error instanceof Notice ? message : `${message} Reload the page and try again.`,
  };
}
