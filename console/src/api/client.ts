// One function speaks to the agent. Every failure is a `Problem` whose words can be shown.

import { parseExact, stringifyExact } from './numbers';
import type { Session } from './types';

const ANSWER_MS_MAX = 15_000;

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly title: string,
    readonly detail: string,
    readonly field: string | null = null,
    readonly retryAfterS: number | null = null,
  ) {
    super(detail || title);
  }

  /** One sentence or two for the person in front of the page. */
  get words(): string {
    const wait = this.retryAfterS === null ? '' : ` Try again in ${this.retryAfterS} s.`;
    return (this.detail || this.title) + wait;
  }
}

/** The words of any failure, also of one that is our own mistake. */
export function wordsOf(error: unknown): string {
  if (error instanceof Problem) return error.words;
  return error instanceof Error ? error.message : String(error);
}

let xsrf = '';
let onSessionEnd: () => void = () => {};

export function useSession(session: Session | null): void {
  xsrf = session?.xsrf ?? '';
}

export function whenSessionEnds(handler: () => void): void {
  onSessionEnd = handler;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const answer = await send(method, path, body);
  if (answer.ok) return read<T>(path, answer);
  const problem = await problemOf(answer);
  // Signing in again in another tab gives the browser a new session and with it a new token.
  if (problem.status === 403 && problem.kind === 'request_not_proven' && (await renewToken())) {
    const second = await send(method, path, body);
    if (second.ok) return read<T>(path, second);
    throw await problemOf(second);
  }
  if (problem.status === 401 && xsrf !== '' && !isSignIn(method, path)) onSessionEnd();
  throw problem;
}

/** The path of a model's rows, or of the item with this key; each segment escaped. */
export function dataPath(model: string, key?: readonly string[]): string {
  return ['data', model, ...behindModel(key)].map(encodeURIComponent).join('/');
}

/** The only item of a model has no key, and a slash in its place. */
export function behindModel(key?: readonly string[]): readonly string[] {
  return key?.length === 0 ? [''] : (key ?? []);
}

function isSignIn(method: Method, path: string): boolean {
  return (
    (method === 'POST' && path === 'session') || (method === 'PUT' && path === 'session/password')
  );
}

async function send(method: Method, path: string, body: unknown): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && xsrf !== '') headers['X-XSRF-Token'] = xsrf;
  try {
    return await fetch(`/api/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? null : stringifyExact(body),
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
  } catch (error) {
    throw unreachable(error);
  }
}

function unreachable(error: unknown): Problem {
  const slow = error instanceof DOMException && error.name === 'TimeoutError';
  return slow
    ? new Problem(0, 'timeout', 'No answer', 'The device did not answer within 15 seconds.')
    : new Problem(0, 'network', 'No connection', 'The device cannot be reached right now.');
}

async function read<T>(path: string, answer: Response): Promise<T> {
  const text = await answer.text().catch((error: unknown) => {
    throw unreachable(error);
  });
  if (text === '') return undefined as T;
  return (path.startsWith('data/') ? parseExact(text) : JSON.parse(text)) as T;
}

async function problemOf(answer: Response): Promise<Problem> {
  const after = Number(answer.headers.get('Retry-After'));
  const retryAfterS = after > 0 ? Math.ceil(after) : null;
  let body: Record<string, unknown> = {};
  try {
    body = (await answer.json()) as Record<string, unknown>;
  } catch {
    // Not problem+json: a proxy answered, or the connection broke off. The status has to do.
  }
  const text = (name: string) => (typeof body[name] === 'string' ? (body[name] as string) : '');
  return new Problem(
    answer.status,
    text('kind'),
    text('title') || `The device answered with status ${answer.status}`,
    text('detail'),
    text('field') || null,
    retryAfterS,
  );
}

async function renewToken(): Promise<boolean> {
  const answer = await send('GET', 'session', undefined);
  if (!answer.ok) return false;
  useSession(await read<Session>('session', answer));
  return true;
}
