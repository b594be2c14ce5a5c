/** The page: one screen at a time, chosen by the URL and by the state of its job. */
import '../styles/base.css';
import '../styles/page.css';
import '../styles/viewer.css';

import { api, ApiError, onSignedOut } from '../api/client';
import type { Config, Job } from '../api/types';
import { h, iconButton } from '../ui/dom';
import { icon } from '../ui/icons';
import { percent } from '../ui/format';
import { problemBox, problemOf } from '../ui/problem';
import { toast } from '../ui/toast';
import { composeView } from '../views/compose';
import { endedView } from '../views/ended';
import { History } from '../views/history';
import { loginView } from '../views/login';
import { progressView } from '../views/progress';
import { resultView, title } from '../views/result';
import { reviewView } from '../views/review';
import type { View } from '../views/view';
import { onIncomingPhoto } from './incoming';
import { Jobs } from './jobs';
import { format, parse } from './route';

class Page {
  readonly #jobs = new Jobs();
  readonly #history = new History(this.#jobs);
  readonly #main = h('main', { id: 'main', tabindex: -1 });
  readonly #offline = h('p', { class: 'offline', role: 'status', hidden: true }, 'No connection to the server. Trying again…');
  readonly #signOut = h('button', {
    type: 'button', class: 'button quiet', hidden: true,
    onclick: () => void api.logout().then(() => location.reload(), toast),
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
        h('a', { href: '#', class: 'brand', 'aria-label': 'scenelift, new scene', onclick: () => this.#restart() },
          icon('cube'), h('span', {}, 'scenelift')),
        this.#offline,
        h('span', { class: 'spacer' }),
        this.#signOut,
        h('a', { href: '#', class: 'button', onclick: () => this.#restart() }, icon('plus'), 'New scene')),
      h('div', { class: 'layout' }, this.#history.element, this.#main));
    this.#jobs.watch(() => this.#show());
    window.addEventListener('hashchange', () => {
      document.body.classList.remove('history-open');
      toggle.setAttribute('aria-expanded', 'false');
      void this.#navigate();
    });
    onSignedOut(() => this.#signIn());
    onIncomingPhoto((photo) => {
      if (!this.#config) return;
      location.hash = '';
      this.#show();
      this.#view?.take?.(photo);
    });
  }

  async start(): Promise<void> {
    try {
      this.#config = await api.config();
      document.body.classList.remove('signed-out');
      this.#history.version = this.#config.version;
      this.#signOut.hidden = !this.#config.auth;
      await this.#jobs.start();
      await this.#navigate();
    } catch (error) {
      this.#fail(error);
    }
  }

  #signIn(): void {
    this.#config = null; // nothing is shown until signed in again
    document.body.classList.add('signed-out');
    this.#set('login', () => loginView(() => void this.start()));
  }

  /** A new scene from the start, where its form is already open too. */
  #restart(): void {
    if (this.#key === 'new') this.#key = '';
    this.#show();
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
        this.#set(`${job.id} done`, () => resultView(job, most, config.share_days, go));
        break;
      case 'failed':
      case 'cancelled':
        this.#set(`${job.id} ${job.state}`, () => endedView(job, most, go));
    }
    this.#view?.update?.(job);
    const share = job.state === 'running' ? `${percent(job.fraction)} · ` : '';
    document.title = `${share}${title(job)} – scenelift`;
  }

  #set(key: string, make: () => View): void {
    if (this.#key === key) return;
    this.#key = key;
    const focused = this.#main.contains(document.activeElement);
    this.#view?.dispose?.();
    this.#view = make();
    this.#main.replaceChildren(this.#view.element);
    document.title = 'scenelift';
    // What had the focus is gone; keyboards and screen readers go on at the new screen's start.
    if (focused) this.#main.focus();
  }

  #fail(error: unknown): void {
    if (error instanceof ApiError && error.problem.status === 401) return; // see #signIn
    this.#key = 'problem';
    this.#view?.dispose?.();
    this.#view = null;
    this.#main.replaceChildren(
      h('div', { class: 'lost' }, problemBox(problemOf(error)),
        this.#config
          ? h('a', { href: '#', class: 'button' }, 'New scene')
          : h('button', { type: 'button', class: 'button', onclick: () => location.reload() }, 'Try again')));
  }
}

const root = document.getElementById('app');
if (root) void new Page(root).start();
