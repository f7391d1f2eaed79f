// The device's name, its state in one sentence, and the flower.

import { useComputed } from '@preact/signals';
import type { Sample, Status, SyncStatus } from '../../api/types';
import { bytes, clock, duration, several, text } from '../../format';
import { heardAt, link, samples, status, sync, troubles } from '../../state/device';
import { Pill } from '../../ui/basics';
import { HealthFlower, type Petal } from '../../ui/flower';
import { syncMood, syncTitle } from '../sync-words';

const BUSY = 0.8;
const BAD = 0.95;
/** The processor is judged by the mean of so many samples: a moment of work is no trouble. */
const CALM_SAMPLES = 15;

export function Hero() {
  const petals = useComputed(() => petalsOf(samples.value.slice(-CALM_SAMPLES), sync.value));
  const state = status.value;
  return (
    <section class="hero" aria-label="This device">
      <HealthFlower petals={petals.value} />
      <div class="hero-words">
        <h1>{state?.device?.name ?? 'This device'}</h1>
        <p class="hero-line" role="status">
          {state
            ? sentence(state, petals.value)
            : (troubles.value.status ?? 'Reading the state of the device')}
        </p>
        <p class="hero-facts">
          <LinkPill />
          {state?.uptime_ms !== undefined && <span>{`Agent up ${duration(state.uptime_ms)}`}</span>}
          {state && <span>{`Version ${state.version}`}</span>}
          {state?.device && <span class="mono">{state.device.id}</span>}
          {state?.time && !state.time.trusted && <Pill mood="busy">Clock not confirmed yet</Pill>}
        </p>
      </div>
    </section>
  );
}

function LinkPill() {
  switch (link.value) {
    case 'live':
      return <Pill mood="good">Live</Pill>;
    case 'lost':
      return <Pill mood="bad">Connection lost</Pill>;
    case 'connecting':
      return <Pill>Connecting</Pill>;
  }
}

function sentence(state: Status, petals: Petal[]): string {
  if (link.value === 'lost') return `Nothing heard from the device since ${clock(heardAt.value)}.`;
  const down = (state.services ?? []).filter(
    ({ state }) => state === 'failed' || state === 'backoff',
  );
  if (down.length > 0) {
    return `${several(down.length, 'service')} in trouble: ${down.map(({ name }) => name).join(', ')}.`;
  }
  const strained = petals.filter(({ mood }) => mood !== 'calm');
  if (strained.length > 0) {
    return `Running, with something to look at: ${strained.map(({ name, words }) => `${name.toLowerCase()} ${words}`).join(', ')}.`;
  }
  return 'All is well: everything runs and nothing needs you.';
}

function petalsOf(recent: Sample[], state: SyncStatus | null): Petal[] {
  const sample = recent.at(-1);
  return [
    share(
      'Processor',
      mean(recent.map(({ cpu_pct }) => cpu_pct)),
      100,
      (busy) => `${Math.round(busy)} % busy`,
    ),
    share(
      'Memory',
      sample?.mem_used_bytes,
      sample?.mem_total_bytes,
      (used) => `${text(bytes(used))} used`,
    ),
    share(
      'Disk',
      sample?.disk_used_bytes,
      sample?.disk_total_bytes,
      (used) => `${text(bytes(used))} used`,
    ),
    share('Load', sample?.load1, loadFull(sample), (load) => load.toFixed(2)),
    replication(state),
  ];
}

type Maybe = number | null | undefined;

function share(name: string, part: Maybe, whole: Maybe, say: (part: number) => string): Petal {
  if (typeof part !== 'number' || !whole)
    return { name, level: null, mood: 'calm', words: 'not known' };
  const level = part / whole;
  return {
    name,
    level,
    mood: level >= BAD ? 'bad' : level >= BUSY ? 'busy' : 'calm',
    words: say(part),
  };
}

function mean(values: (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Half as much work again as the cores can do at once. */
function loadFull(sample: Sample | undefined): number {
  return Math.max(1, sample?.cores.length ?? 1) * 1.5;
}

function replication(state: SyncStatus | null): Petal {
  const name = 'Replication';
  if (!state || state.state === 'off') return { name, level: null, mood: 'calm', words: 'off' };
  const mood = syncMood(state);
  return {
    name,
    level: mood === 'good' ? 1 : 0.6,
    mood: mood === 'bad' ? 'bad' : mood === 'busy' ? 'busy' : 'calm',
    words: syncTitle(state).toLowerCase(),
  };
}
