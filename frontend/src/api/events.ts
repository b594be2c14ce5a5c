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
  readonly #onEvent: (event: JobEvent) => void;
  readonly #onOpen: (connected: boolean) => void;

  constructor(
    after: number, onEvent: (event: JobEvent) => void, onOpen: (connected: boolean) => void,
  ) {
    this.#last = String(after);
    this.#onEvent = onEvent;
    this.#onOpen = onOpen;
    this.#open();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
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
    const again = () => api.config().then(() => this.#open(), (error: unknown) => {
      const status = error instanceof ApiError ? error.problem.status : 0;
      if (status !== 401) this.#retry();
    });
    this.#timer = window.setTimeout(() => void again(), RETRY_MS);
  }
}
