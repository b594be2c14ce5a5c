/** What the server says: docs/web.md. */
import type { EditsDocument } from '../edit/document';

export type JobState = 'queued' | 'running' | 'review' | 'done' | 'failed' | 'cancelled';

/** x0, y0, x1, y1 in pixels of the photo; right and bottom exclusive. */
export type Box = [number, number, number, number];

/** What the user drew a box around. */
export interface AddedBox {
  box: Box;
  label: string;
}

/** How masks travel: pixels outside, inside, outside …, row by row from the top left. */
export interface Runs {
  width: number;
  height: number;
  runs: number[];
}

/** What is known of one object whose mask is wanted. */
export interface Click {
  points: { point: [number, number]; positive: boolean }[];
  box?: Box;
  mask?: Runs;
}

export interface Clicked {
  mask: Runs;
  /** Whose answer it is. */
  by: string;
  /** The models were at work on a job, and the embedded ones answered. */
  busy: boolean;
}

/** What to reconstruct: objects as they were found, perhaps under other names, and drawn ones. */
export interface Choice {
  keep: number[];
  names: Record<string, string>;
  masks: { label: string; mask: Runs }[];
}

/** The link to a scene: null, there is none; its address is given once, when it is made. */
export interface ShareState {
  expires: string | null;
  url: string | null;
}

/** RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  suggestions?: string[];
  retry_after?: number;
}

export interface JobObject {
  /** Null for what was left out. */
  index: number | null;
  label: string;
  score: number;
  box: Box;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'dropped';
  fraction: number;
  mask_url: string | null;
  reason: string | null;
}

export interface JobStage {
  name: string;
  title: string;
  seconds: number | null;
}

/** How far the edits of a scene are written. */
export interface EditState {
  state: 'written' | 'waiting' | 'writing' | 'failed' | 'cancelled';
  revision: number;
  written: number;
  fraction: number;
  /** Until the files are written, the wait for a worker included. */
  eta_seconds: number | null;
  error: Problem | null;
}

/** How far files are made of a scene on demand. */
export interface ExportState {
  state: 'idle' | 'waiting' | 'writing' | 'failed';
  fraction: number;
  eta_seconds: number | null;
  error: Problem | null;
}

/** A file of the scene. */
export interface JobFile {
  name: string;
  bytes: number;
  url: string;
}

/** A format that the scene is written in, or may be. */
export interface SceneFormat {
  format: string;
  /** Of its file, or the first of them. */
  name: string;
  readers: string;
  state: 'made' | 'waiting' | 'absent';
  files: JobFile[];
  expected_bytes: number;
  /** Why it cannot be made here. */
  refused: string | null;
}

export interface SceneExports extends ExportState {
  formats: SceneFormat[];
  /** Turntables and pictures. */
  loops: JobFile[];
  /** Names of files still to be made. */
  waiting: string[];
  /** Name -> why it could not be made. */
  refused: Record<string, string>;
  turntable_formats: string[];
  zip_url: string;
  zip_bytes: number;
}

/** What to make of a scene. */
export interface NewExports {
  formats?: string[];
  turntables?: { path: string; format: string; frames: number; size: number }[];
  pictures?: { size: number }[];
  splats?: { format: string; frame: string }[];
}

export interface SceneEdits extends EditState {
  edits: EditsDocument;
  original_url: string;
}

export interface Job {
  id: string;
  state: JobState;
  created: string;
  started: string | null;
  finished: string | null;
  prompt: { phrases: string[]; boxes: AddedBox[] };
  seed: number;
  quality: string;
  stage: string;
  /** Of the task at hand, with what they take on this machine. */
  stages: JobStage[];
  starts_in_seconds: number | null;
  fraction: number;
  eta_seconds: number | null;
  attempt: number;
  /** Whether it stops after the masks, for a look at them. */
  finding: boolean;
  position: number | null;
  notes: string[];
  error: Problem | null;
  objects: JobObject[];
  image: { width: number; height: number; url: string };
  thumbnail_url: string | null;
  manifest_url: string | null;
  files: JobFile[];
  /** Of its scene, where there is one. */
  edit: EditState | null;
  export: ExportState | null;
}

export interface JobPage {
  jobs: Job[];
  last_event_id: number;
}

/** An option of a job, as JSON Schema puts it. */
export interface OptionSchema {
  type: 'boolean' | 'integer' | 'number' | 'string' | 'array';
  title: string;
  description: string;
  /** Heading of what it belongs to. */
  group: string;
  default: boolean | number | string | string[] | null;
  minimum: number | null;
  maximum: number | null;
  /** Least number besides 0, which means no limit. */
  least_positive: number | null;
  enum: string[] | null;
}

export type Options = Record<string, OptionSchema>;

export interface Config {
  version: string;
  qualities: string[];
  default_quality: string;
  limits: { upload_bytes: number; max_pixels: number; max_phrases: number };
  options: Options;
  /** What a job goes through, in this order. */
  auth: boolean;
  /** Longest life of a link to a scene; 0: none can be made. */
  share_days: number;
  examples: { name: string; url: string; prompt: string }[];
}

export interface JobEvent {
  job: string;
  kind: string;
  state: JobState;
  stage: string;
  object_index: number | null;
  fraction: number;
  stage_fraction: number;
  eta_seconds: number | null;
  message: string;
}

export interface NewJob {
  photo: File;
  phrases: string[];
  boxes: readonly AddedBox[];
  seed: number;
  maxObjects: number | null;
  quality: string;
  review: boolean;
  /** Name -> value of options that differ from the server's defaults. */
  options: Record<string, string>;
}
