// What the device says about itself: read once, then kept up to date by the live stream.

import { signal } from '@preact/signals';
import { call } from '../api/client';
import { openStream } from '../api/events';
import type { Change, Metrics, Sample, Service, Status, SyncStatus } from '../api/types';
import { checkSession } from './session';

export type Link = 'connecting' | 'live' | 'lost';

export const link = signal<Link>('connecting');
export const status = signal<Status | null>(null);
export const sync = signal<SyncStatus | null>(null);
export const samples = signal<Sample[]>([]);
export const intervalMs = signal(1_000);
/** The device's clock minus this browser's, so that ages are right on a badly set clock. */
export const clockSkewMs = signal(0);
/** Rises when live events flow again after a gap: pages read their data anew. */
export const generation = signal(0);

const STATUS_MS = 10_000;
const SAMPLES_MAX = 3_600;

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
      metrics: (sample) => addSample(sample as Sample),
      change: (change) => changeListeners.forEach((listener) => listener(change as Change)),
      sync: (state) => (sync.value = state as SyncStatus),
      status: (services) => setServices(services),
    },
    onLive: () => {
      link.value = 'live';
      generation.value += 1;
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

/** Milliseconds since the epoch by the device's clock. */
export function deviceNow(): number {
  return Date.now() + clockSkewMs.value;
}

export async function readStatus(): Promise<void> {
  try {
    const answer = await call<Status>('GET', 'status');
    status.value = answer;
    if (answer.sync) sync.value = answer.sync;
    if (answer.time) clockSkewMs.value = wallMs(answer.time.wall) - Date.now();
  } catch {
    // The stream tells about a lost connection; the last known state stays on the page.
  }
}

export async function retrySync(): Promise<void> {
  await call('POST', 'sync/retry');
}

async function readAll(): Promise<void> {
  await Promise.all([readStatus(), readMetrics()]);
}

async function readMetrics(): Promise<void> {
  try {
    const answer = await call<Metrics>('GET', 'metrics');
    intervalMs.value = answer.interval_ms || 1_000;
    samples.value = answer.samples.slice(-SAMPLES_MAX);
  } catch {
    // As above; live samples fill the charts.
  }
}

function addSample(sample: Sample): void {
  const last = samples.value.at(-1);
  if (last && sample.at_ms <= last.at_ms && last.at_ms - sample.at_ms < 60_000) return;
  samples.value = [...samples.value.slice(1 - SAMPLES_MAX), sample];
}

function setServices(message: unknown): void {
  const services = Array.isArray(message)
    ? (message as Service[])
    : (message as { services?: Service[] }).services;
  if (services && status.value) status.value = { ...status.value, services };
}

function wallMs(wall: number | string): number {
  return typeof wall === 'number' ? wall : Date.parse(wall);
}
