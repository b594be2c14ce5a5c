import type { EditsDocument } from '../edit/document';
import type { AddedBox, Choice, Click, Clicked, Config, Job, JobPage, NewExports, NewJob, Problem, SceneEdits, SceneExports, ShareState } from './types';

/** A call that the server refused, with the sentence that it has for the user. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

const LOGIN = 'api/login';
const UNREACHABLE: Problem = {
  type: 'urn:scenelift:problem:unreachable',
  title: 'no connection',
  status: 0,
  detail: 'The server does not answer. Check that it runs and that you are connected, then try again.',
};

let signedOut = () => {};

/** Called when the server wants a token first. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError(UNREACHABLE);
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== LOGIN) signedOut();
  const type = response.headers.get('content-type') ?? '';
  throw new ApiError(type.includes('json') ? ((await response.json()) as Problem) : noProblem(response.status));
}

function noProblem(status: number): Problem {
  return { ...UNREACHABLE, status, detail: `The server answered with status ${status}. Try again in a moment.` };
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await call(path, init)).json()) as T;
}

/** Send a form; `fetch` cannot tell how much of it has left. */
function upload<T>(path: string, form: FormData, onSent: (fraction: number) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', path);
    request.responseType = 'json';
    request.upload.onprogress = (e) => {
      if (e.lengthComputable) onSent(e.loaded / e.total);
    };
    request.onerror = () => reject(new ApiError(UNREACHABLE));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response as T);
      if (request.status === 401) signedOut();
      reject(new ApiError((request.response as Problem | null) ?? noProblem(request.status)));
    };
    request.send(form);
  });
}

function post(body: unknown): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

export const api = {
  config: () => json<Config>('api/config'),
  jobs: (before?: string) =>
    json<JobPage>(`api/jobs?limit=30${before ? `&before=${encodeURIComponent(before)}` : ''}`),
  job: (id: string) => json<Job>(`api/jobs/${encodeURIComponent(id)}`),
  remove: (id: string) => call(`api/jobs/${encodeURIComponent(id)}`, { method: 'DELETE' }),
  cancel: (id: string) =>
    json<Job>(`api/jobs/${encodeURIComponent(id)}/cancel`, { method: 'POST' }),
  proceed: (id: string, choice: Choice) =>
    json<Job>(`api/jobs/${encodeURIComponent(id)}/continue`, post(choice)),
  click: (id: string, click: Click) =>
    json<Clicked>(`api/jobs/${encodeURIComponent(id)}/click`, post(click)),
  rerun: (id: string, change: { seed: number; text_prompt: string[]; boxes?: readonly AddedBox[] }) =>
    json<Job>(`api/jobs/${encodeURIComponent(id)}/rerun`, post(change)),
  edits: (id: string) => json<SceneEdits>(`api/jobs/${encodeURIComponent(id)}/edits`),
  putEdits: (id: string, edits: EditsDocument, revision: number) =>
    json<SceneEdits>(`api/jobs/${encodeURIComponent(id)}/edits`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'if-match': `"${revision}"` },
      body: JSON.stringify(edits),
    }),
  exports: (id: string) => json<SceneExports>(`api/jobs/${encodeURIComponent(id)}/exports`),
  ask: (id: string, what: NewExports) =>
    json<SceneExports>(`api/jobs/${encodeURIComponent(id)}/exports`, post(what)),
  shared: (id: string) => json<ShareState>(`api/jobs/${encodeURIComponent(id)}/share`),
  share: (id: string, days: number) =>
    json<ShareState>(`api/jobs/${encodeURIComponent(id)}/share`, post({ days })),
  unshare: (id: string) => call(`api/jobs/${encodeURIComponent(id)}/share`, { method: 'DELETE' }),
  login: (token: string) => call(LOGIN, post({ token })),
  logout: () => call('api/logout', { method: 'POST' }),
  submit(job: NewJob, onSent: (fraction: number) => void): Promise<Job> {
    const form = new FormData();
    form.set('image', job.photo, job.photo.name || 'photo');
    for (const phrase of job.phrases) form.append('text_prompt', phrase);
    if (job.boxes.length) {
      form.set('boxes', JSON.stringify(job.boxes));
    }
    form.set('seed', String(job.seed));
    if (job.maxObjects !== null) form.set('max_objects', String(job.maxObjects));
    form.set('quality', job.quality);
    form.set('review', String(job.review));
    for (const [name, value] of Object.entries(job.options)) form.set(name, value);
    return upload<Job>('api/jobs', form, onSent);
  },
};
