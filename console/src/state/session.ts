// Who is signed in, and which of the four faces of the console is shown.

import { computed, signal } from '@preact/signals';
import { call, Problem, useSession, whenSessionEnds } from '../api/client';
import type { Role, Session } from '../api/types';

export type Face = 'starting' | 'unreachable' | 'setup' | 'login' | 'console';

export const face = signal<Face>('starting');
export const session = signal<Session | null>(null);
/** Why the login page is shown to somebody who did not ask for it. */
export const loginNotice = signal('');

const RANK: Record<Role, number> = { viewer: 0, editor: 1, owner: 2 };
const RETRY_MS = 3_000;

export const canEdit = computed(() => session.value !== null && RANK[session.value.role] >= 1);
export const isOwner = computed(() => session.value?.role === 'owner');

whenSessionEnds(() => leave('Your session has ended. Please sign in again.'));

/** Finds out which face to show; keeps asking while the device does not answer. */
export async function start(): Promise<void> {
  try {
    enter(await call<Session>('GET', 'session'));
  } catch (error) {
    if (error instanceof Problem && error.status === 401) await askForSetup();
    else unreachable();
  }
}

async function askForSetup(): Promise<void> {
  try {
    const { needed } = await call<{ needed: boolean }>('GET', 'setup');
    face.value = needed ? 'setup' : 'login';
  } catch {
    unreachable();
  }
}

function unreachable(): void {
  face.value = 'unreachable';
  setTimeout(() => void start(), RETRY_MS);
}

export async function setUp(code: string, name: string, password: string): Promise<void> {
  enter(await call<Session>('POST', 'setup', { code, name, password }));
}

export async function signIn(name: string, password: string): Promise<void> {
  enter(await call<Session>('POST', 'session', { name, password }));
}

export async function signOut(): Promise<void> {
  try {
    await call('DELETE', 'session');
  } finally {
    leave('');
  }
}

/** Asks again who is signed in, after the stream broke off; a session that ended shows the login. */
export async function checkSession(): Promise<void> {
  try {
    await call<Session>('GET', 'session');
  } catch {
    // A session that ended is handled by the client; anything else shows as a lost connection.
  }
}

function enter(who: Session): void {
  useSession(who);
  session.value = who;
  loginNotice.value = '';
  face.value = 'console';
}

function leave(notice: string): void {
  useSession(null);
  session.value = null;
  loginNotice.value = notice;
  face.value = 'login';
}
