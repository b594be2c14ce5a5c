import { api, ApiError } from './client';
import type { JobEvent } from './types';

const RETRY_MS = 3000;

/**
 * The one stream of events of this page: a browser opens few connections to one server.
 *
 * The browser reconnects by itself and sends the last id that it saw; where it gives up (the
 * server answered with an error), this starts again from that id.
 */
export class EventStream {
  #source: EventSource | null = null;
  #last: string;
  #timer = 0;
  #listening = false;
  readonly #onEvent: (event: JobEvent) => void;
  readonly #onOpen: (connected: boolean) => void;

  constructor(
    after: number, onEvent: (event: JobEvent) => void, onOpen: (connected: boolean) => void,
  ) {
    this.#last = String(after);
    this.#onEvent = onEvent;
    this.#onOpen = onOpen;
    this.listening = true;
  }

  /** While it does not listen, events wait at the server. */
  get listening(): boolean {
    return this.#listening;
  }

  set listening(on: boolean) {
    if (on === this.#listening) return;
    this.#listening = on;
    clearTimeout(this.#timer);
    this.#source?.close();
    if (on) this.#open();
  }

  #open(): void {
    const source = new EventSource(`api/events?last_event_id=${encodeURIComponent(this.#last)}`);
    source.onopen = () => this.#onOpen(true);
    source.addEventListener('job', (message) => {
      this.#last = message.lastEventId;
      this.#onEvent(JSON.parse(String(message.data)) as JobEvent);
    });
    source.onerror = () => {
      this.#onOpen(false);
      if (source.readyState === EventSource.CLOSED) this.#retry();
    };
    this.#source = source;
  }

  /** An ordinary call tells, as the stream cannot, whether the server wants a token. */
  #retry(): void {
    this.#timer = window.setTimeout(() => void this.#again(), RETRY_MS);
  }

  async #again(): Promise<void> {
    try {
      await api.config();
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 401) return;
      if (this.#listening) this.#retry();
      return;
    }
    if (this.#listening) this.#open();
  }
}
