/** The page: one screen at a time, chosen by the URL and by the state of its job. */
import '../styles/base.css';
import '../styles/page.css';
import '../styles/viewer.css';

import { api, ApiError } from '../api/client';
import type { Config, Job } from '../api/types';
import { h, iconButton } from '../ui/dom';
import { icon } from '../ui/icons';
import { problemBox, problemOf } from '../ui/problem';
import { composeView } from '../views/compose';
import { endedView } from '../views/ended';
import { History } from '../views/history';
import { loginView } from '../views/login';
import { progressView } from '../views/progress';
import { resultView } from '../views/result';
import { reviewView } from '../views/review';
import type { View } from '../views/view';
import { Jobs } from './jobs';
import { format, parse } from './route';

class Page {
  readonly #jobs = new Jobs();
  readonly #history = new History(this.#jobs);
  readonly #main = h('main', { id: 'main', tabindex: -1 });
  readonly #offline = h('p', { class: 'offline', role: 'status', hidden: true }, 'No connection to the server. Trying again…');
  readonly #signOut = h('button', {
    type: 'button', class: 'button quiet', hidden: true,
    onclick: () => void api.logout().then(() => location.reload()),
  }, 'Sign out');
  #config: Config | null = null;
  #view: View | null = null;
  /** What the view was made for; another key means another view. */
  #key = '';

  constructor(root: HTMLElement) {
    const toggle = iconButton(icon('history'), 'Your scenes', () => {
      const open = document.body.classList.toggle('history-open');
      toggle.setAttribute('aria-expanded', String(open));
    }, { class: 'icon history-toggle', 'aria-expanded': 'false', 'aria-controls': 'history' });
    root.append(
      h('a', { href: '#main', class: 'skip', onclick: (e: Event) => {
        e.preventDefault();
        this.#main.focus();
      } }, 'Skip to the content'),
      h('header', { class: 'top' },
        toggle,
        h('a', { href: '#', class: 'brand', 'aria-label': 'scenelift, new scene' }, icon('cube'), h('span', {}, 'scenelift')),
        this.#offline,
        h('span', { class: 'spacer' }),
        this.#signOut,
        h('a', { href: '#', class: 'button' }, icon('plus'), 'New scene')),
      h('div', { class: 'layout' }, this.#history.element, this.#main));
    this.#jobs.watch(() => this.#show());
    window.addEventListener('hashchange', () => {
      document.body.classList.remove('history-open');
      toggle.setAttribute('aria-expanded', 'false');
      void this.#navigate();
    });
  }

  async start(): Promise<void> {
    try {
      this.#config = await api.config();
      this.#signOut.hidden = !this.#config.auth;
      await this.#jobs.start();
      await this.#navigate();
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 401) {
        this.#set('login', () => loginView(() => void this.start()));
      } else {
        this.#fail(error);
      }
    }
  }

  async #navigate(): Promise<void> {
    const route = parse(location.hash);
    const id = route.page === 'job' ? route.id : null;
    this.#history.current = id;
    if (id && !this.#jobs.get(id)) {
      try {
        await this.#jobs.load(id);
      } catch (error) {
        this.#fail(error);
        return;
      }
    }
    this.#show();
    window.scrollTo(0, 0);
  }

  #show(): void {
    this.#offline.hidden = this.#jobs.connected;
    const config = this.#config;
    if (!config) return;
    const go = (job: Job) => {
      this.#jobs.put(job);
      location.hash = format({ page: 'job', id: job.id });
    };
    const route = parse(location.hash);
    if (route.page === 'new') {
      this.#set('new', () => composeView(config, go));
      return;
    }
    const job = this.#jobs.get(route.id);
    if (!job) {
      if (this.#key.startsWith(`${route.id} `)) location.hash = '';
      return;
    }
    const most = config.limits.max_phrases;
    const put = (changed: Job) => this.#jobs.put(changed);
    switch (job.state) {
      case 'queued':
      case 'running':
        this.#set(`${job.id} working`, () => progressView(job, put));
        break;
      case 'review':
        this.#set(`${job.id} review`, () => reviewView(job, put));
        break;
      case 'done':
        this.#set(`${job.id} done`, () => resultView(job, most, go));
        break;
      case 'failed':
      case 'cancelled':
        this.#set(`${job.id} ${job.state}`, () => endedView(job, most, go));
    }
    this.#view?.update?.(job);
  }

  #set(key: string, make: () => View): void {
    if (this.#key === key) return;
    this.#key = key;
    this.#view?.dispose?.();
    this.#view = make();
    this.#main.replaceChildren(this.#view.element);
    const heading = this.#main.querySelector('h1')?.textContent;
    document.title = heading ? `${heading} – scenelift` : 'scenelift';
  }

  #fail(error: unknown): void {
    this.#key = 'problem';
    this.#view?.dispose?.();
    this.#view = null;
    this.#main.replaceChildren(
      h('div', { class: 'lost' }, problemBox(problemOf(error)),
        h('a', { href: '#', class: 'button' }, 'New scene')));
  }
}

const root = document.getElementById('app');
if (root) void new Page(root).start();
