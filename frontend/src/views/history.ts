import type { Jobs } from '../app/jobs';
import { isFinal } from '../app/jobs';
import type { Job } from '../api/types';
import { confirmed } from '../ui/confirm';
import { h, iconButton } from '../ui/dom';
import { ago, percent } from '../ui/format';
import { icon } from '../ui/icons';
import { toast } from '../ui/toast';
import { format } from '../app/route';
import { title } from './result';

const STATES: Record<Job['state'], string> = {
  queued: 'waiting', running: 'working', review: 'masks to look at', done: '', failed: 'failed', cancelled: 'stopped',
};

/** The caller's jobs with thumbnails. */
export class History {
  readonly element: HTMLElement;
  readonly #list = h('ul', { class: 'history-list' });
  readonly #more: HTMLButtonElement;
  readonly #about = h('p', { class: 'about' });
  readonly #jobs: Jobs;
  readonly #entries = new Map<string, { element: HTMLElement; contents: string }>();
  #current: string | null = null;

  constructor(jobs: Jobs) {
    this.#jobs = jobs;
    this.#more = h('button', { type: 'button', class: 'button quiet wide', onclick: () => void jobs.more().catch(toast) }, 'Show older');
    this.element = h('nav', { id: 'history', class: 'history', 'aria-label': 'Your scenes' },
      h('h2', {}, 'Your scenes'), this.#list, this.#more, this.#about);
    jobs.watch(() => this.#draw());
    this.#draw();
  }

  set current(id: string | null) {
    this.#current = id;
    this.#draw();
  }

  set version(version: string) {
    this.#about.replaceChildren(`scenelift ${version} · `, h('a', { href: 'licences.txt' }, 'Licences'));
  }

  #draw(): void {
    const jobs = this.#jobs.list();
    // Entries that did not change stay as they are, so that focus and pictures do too.
    const elements = jobs.map((job) => {
      const contents = JSON.stringify([job.state, Math.round(100 * job.fraction), title(job), job.id === this.#current, ago(job.created)]);
      const earlier = this.#entries.get(job.id);
      if (earlier?.contents === contents) return earlier.element;
      const element = this.#entry(job);
      this.#entries.set(job.id, { element, contents });
      return element;
    });
    const same = elements.length > 0 && elements.length === this.#list.children.length && elements.every((e, k) => e === this.#list.children[k]);
    if (!same) {
      this.#list.replaceChildren(
        ...(elements.length ? elements : [h('li', { class: 'empty' }, 'Scenes that you make appear here.')]));
    }
    this.#more.hidden = this.#jobs.complete || jobs.length === 0;
  }

  #entry(job: Job): HTMLElement {
    const state = job.state === 'running' ? `${STATES.running}, ${percent(job.fraction)}` : STATES[job.state];
    return h('li', { class: `entry ${job.state}` },
      h('a', { href: format({ page: 'job', id: job.id }), 'aria-current': job.id === this.#current && 'page' },
        job.thumbnail_url ? h('img', { src: job.thumbnail_url, alt: '', loading: 'lazy', width: 48, height: 48 }) : null,
        h('span', {}, h('b', {}, title(job)), h('small', {}, state || ago(job.created)))),
      iconButton(icon('trash'), `Delete ${title(job)}`, () => void this.#remove(job)));
  }

  async #remove(job: Job): Promise<void> {
    const detail = isFinal(job)
      ? 'Its photo and all its files are removed from the server.'
      : 'It is not finished. It is stopped, and its photo and files are removed from the server.';
    if (!(await confirmed(`Delete “${title(job)}”?`, detail, 'Delete'))) return;
    try {
      await this.#jobs.remove(job.id);
    } catch (error) {
      toast(error);
      return;
    }
    if (this.#current === job.id) location.hash = '';
  }
}
