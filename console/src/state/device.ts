// What the device says about itself: read once, then kept up to date by the live stream.

import { signal } from '@preact/signals';
import { call, Problem, wordsOf } from '../api/client';
import { openStream } from '../api/events';
import type { Change, ChangeGap, Metrics, Sample, Service, Status, SyncStatus } from '../api/types';
import { checkSession } from './session';

export type Link = 'connecting' | 'live' | 'lost';

export const link = signal<Link>('connecting');
export const status = signal<Status | null>(null);
export const sync = signal<SyncStatus | null>(null);
/** Why something above is still empty, in words; empty while it is being read. */
export const troubles = signal<{ status?: string; sync?: string; metrics?: string }>({});
/** When the device was last heard, by this browser's clock. */
export const heardAt = signal(0);
export const samples = signal<Sample[]>([]);
export const intervalMs = signal(1_000);
/** The device's clock minus this browser's, so that ages are right on a badly set clock. */
export const clockSkewMs = signal(0);
/** Rises when live events flow again after a gap: pages read their data anew. */
export const generation = signal(0);

/** The words for a part that this agent was built or started without. */
const ABSENT = 'This agent runs without it.';

const STATUS_MS = 10_000;
const SAMPLES_MAX = 3_600;
const REPEATED_MS = 5_000;

let statusReadAt = Date.now();

type ChangeListener = (change: Change) => void;
const changeListeners = new Set<ChangeListener>();

export function onChange(listener: ChangeListener): () => void {
  changeListeners.add(listener);
  return () => changeListeners.delete(listener);
}

/** Starts to follow the device; the returned function stops and forgets. */
export function followDevice(): () => void {
  const closeStream = openStream({
    topics: 'metrics,changes,sync,status',
    handlers: {
      metrics: (sample) => {
        heardAt.value = Date.now();
        addSample(sample as Sample);
      },
      change: (change) => hear(change as Change | ChangeGap),
      sync: (state) => (sync.value = state as SyncStatus),
      status: (services) => setServices(services),
    },
    onLive: () => {
      link.value = 'live';
      missedSome();
      void readAll();
    },
    onLost: () => {
      link.value = 'lost';
      void checkSession();
    },
  });
  const timer = setInterval(() => link.value === 'live' && void readStatus(), STATUS_MS);
  return () => {
    closeStream();
    clearInterval(timer);
    link.value = 'connecting';
    status.value = null;
    sync.value = null;
    samples.value = [];
  };
}

function hear(change: Change | ChangeGap): void {
  if ('gap' in change) missedSome();
  else changeListeners.forEach((listener) => listener(change));
}

function missedSome(): void {
  generation.value += 1;
}

/** Milliseconds since the epoch by the device's clock. */
export function deviceNow(): number {
  return Date.now() + clockSkewMs.value;
}

/** Milliseconds since the agent started. */
export function agentUptimeMs(): number {
  return (status.value?.uptime_ms ?? 0) + Date.now() - statusReadAt;
}

export async function readStatus(): Promise<void> {
  const answer = await attempt('status', () => call<Status>('GET', 'status'));
  if (!answer) return;
  heardAt.value = Date.now();
  statusReadAt = Date.now();
  status.value = answer;
  if (answer.time?.wall) clockSkewMs.value = Date.parse(answer.time.wall) - Date.now();
}

export async function retrySync(): Promise<void> {
  await call('POST', 'sync/retry');
}

async function readAll(): Promise<void> {
  await Promise.all([readStatus(), readSync(), readMetrics()]);
}

async function readSync(): Promise<void> {
  const answer = await attempt('sync', () => call<SyncStatus>('GET', 'sync'));
  if (answer) sync.value = answer;
}

async function readMetrics(): Promise<void> {
  const answer = await attempt('metrics', () => call<Metrics>('GET', 'metrics'));
  if (!answer) return;
  intervalMs.value = answer.interval_ms || 1_000;
  samples.value = latestRun(answer.samples.slice(-SAMPLES_MAX));
}

/** The last known state stays on the page when an attempt fails; the words are for an empty place. */
async function attempt<T>(
  what: keyof typeof troubles.value,
  read: () => Promise<T>,
): Promise<T | null> {
  try {
    const answer = await read();
    const { [what]: _, ...others } = troubles.peek();
    troubles.value = others;
    return answer;
  } catch (problem) {
    const absent = problem instanceof Problem && problem.status === 404;
    troubles.value = { ...troubles.peek(), [what]: absent ? ABSENT : wordsOf(problem) };
    return null;
  }
}

function addSample(sample: Sample): void {
  const last = samples.value.at(-1);
  // A sample that was in the list read before is not news.
  if (last && sample.at_ms <= last.at_ms && last.at_ms - sample.at_ms < REPEATED_MS) return;
  samples.value = latestRun([...samples.value.slice(1 - SAMPLES_MAX), sample]);
}

/** What came after the device's clock was last set back: a chart needs rising times. */
function latestRun(all: Sample[]): Sample[] {
  const start = all.findLastIndex(
    (sample, index) => index > 0 && sample.at_ms <= (all[index - 1]?.at_ms ?? 0),
  );
  return start < 0 ? all : all.slice(start);
}

function setServices(message: unknown): void {
  const services = Array.isArray(message)
    ? (message as Service[])
    : (message as { services?: Service[] }).services;
  if (services && status.value) status.value = { ...status.value, services };
}
