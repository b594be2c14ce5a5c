import { api, ApiError } from '../api/client';
import { EventStream } from '../api/events';
import type { Job, JobEvent } from '../api/types';

const REFRESH_MS = 300;
const QUEUE_MS = 5000; // places in the queue change with others' jobs too, of which no event comes
const FINAL = new Set(['done', 'failed', 'cancelled']);
const UNDER_WAY = new Set(['queued', 'running']);

/**
 * The caller's jobs, newest first, kept up to date by the server's events.
 *
 * Events carry progress; what else changed (objects, masks, files) is read again from the server,
 * at most once in REFRESH_MS for each job.
 */
export class Jobs {
  connected = true;
  complete = false;
  readonly #jobs = new Map<string, Job>();
  readonly #listeners = new Set<() => void>();
  readonly #timers = new Map<string, number>();
  #stream: EventStream | null = null;

  constructor() {
    document.addEventListener('visibilitychange', () => this.#listen());
    window.setInterval(() => {
      if (document.hidden || !this.connected) return;
      for (const job of this.list()) if (job.state === 'queued') this.#refresh(job.id);
    }, QUEUE_MS);
  }

  /** Read the first page, and listen from there on. Rejects with ApiError. */
  async start(): Promise<void> {
    const page = await api.jobs();
    this.#jobs.clear(); // whoever signs in now may be somebody else
    this.#take(page.jobs);
    if (this.#stream) this.#stream.listening = false;
    this.#stream = new EventStream(
      page.last_event_id,
      (event) => this.#apply(event),
      (connected) => {
        if (this.connected === connected) return;
        this.connected = connected;
        this.#tell();
      },
    );
  }

  async more(): Promise<void> {
    const oldest = this.list().at(-1);
    if (oldest) this.#take((await api.jobs(oldest.id)).jobs);
  }

  list(): Job[] {
    return [...this.#jobs.values()].sort((a, b) => b.created.localeCompare(a.created));
  }

  get(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** A job from the server, whatever is known of it. Rejects with ApiError. */
  async load(id: string): Promise<Job> {
    const job = await api.job(id);
    this.put(job);
    return job;
  }

  put(job: Job): void {
    this.#jobs.set(job.id, job);
    this.#tell();
  }

  async remove(id: string): Promise<void> {
    await api.remove(id);
    this.#forget(id);
  }

  /** Call back after every change; returns what stops it. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take(jobs: Job[]): void {
    this.complete = jobs.length < 30;
    for (const job of jobs) this.#jobs.set(job.id, job);
    this.#tell();
  }

  #apply(event: JobEvent): void {
    if (event.kind === 'deleted') {
      this.#forget(event.job);
      return;
    }
    const job = this.#jobs.get(event.job);
    if (job?.edit && event.kind === 'edit_progress') {
      const { fraction, eta_seconds } = event;
      this.put({ ...job, edit: { ...job.edit, state: 'writing', fraction, eta_seconds } });
      return;
    }
    if (job?.export && event.kind === 'export_progress') {
      const { fraction, eta_seconds } = event;
      this.put({ ...job, export: { ...job.export, state: 'writing', fraction, eta_seconds } });
      return;
    }
    if (job && event.state === job.state && event.kind === 'stage_progress') {
      const { stage, fraction, eta_seconds } = event;
      const objects = job.objects.map((o) =>
        o.index !== null && o.index === event.object_index && stage === 'reconstruct'
          ? { ...o, state: 'running' as const, fraction: event.stage_fraction }
          : o,
      );
      this.put({ ...job, stage, fraction, eta_seconds, objects });
    } else {
      this.#refresh(event.job);
    }
  }

  #refresh(id: string): void {
    if (this.#timers.has(id)) return;
    const timer = window.setTimeout(() => {
      this.#timers.delete(id);
      this.load(id).catch((error: unknown) => {
        if (error instanceof ApiError && error.problem.status === 404) this.#forget(id);
      });
    }, REFRESH_MS);
    this.#timers.set(id, timer);
  }

  #forget(id: string): void {
    this.#jobs.delete(id);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
    this.#listen();
  }

  /** A browser opens six connections to a server: tabs that nobody sees give theirs back. */
  #listen(): void {
    const visible = !document.hidden || this.list().some((job) => isUnderWay(job));
    if (this.#stream) this.#stream.listening = visible;
  }
}

function isUnderWay(job: Job): boolean {
  return UNDER_WAY.has(job.state);
}

export function isFinal(job: Job): boolean {
  return FINAL.has(job.state);
}
