import type { Job } from '../api/types';

/** One screen. `update` gets the job's newest state; screens without a job ignore it. */
export interface View {
  element: HTMLElement;
  update?(job: Job): void;
  /** Use this photo, which was dropped or pasted. */
  take?(photo: File): void;
  dispose?(): void;
}
