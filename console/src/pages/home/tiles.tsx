// The numbers of this moment, each with a line of the last minute.

import type { Sample } from '../../api/types';
import {
  type Amount,
  byteRate,
  bytes,
  celsius,
  duration,
  percent,
  plain,
  text,
} from '../../format';
import { samples, troubles } from '../../state/device';
import { Loading, Notice } from '../../ui/basics';
import { Sparkline } from '../../ui/sparkline';

interface Tile {
  name: string;
  amount: Amount;
  note: string;
  values: number[];
  max?: number;
  color: string;
}

export function Tiles() {
  const recent = samples.value.slice(-60);
  const last = recent.at(-1);
  if (!last) {
    return (
      <section class="card" aria-label="Now">
        <NoSamples />
      </section>
    );
  }
  return (
    <section class="tiles" aria-label="Now">
      {tilesOf(last, recent).map(({ name, amount, note, values, max, color }) => (
        <div key={name} class="card tile">
          <h2>{name}</h2>
          <p class="tile-value" data-tile={name}>
            {amount.value}
            <small>{amount.unit}</small>
          </p>
          <p class="tile-note">{note}</p>
          <Sparkline values={values} color={color} {...(max === undefined ? {} : { max })} />
        </div>
      ))}
    </section>
  );
}

function NoSamples() {
  const trouble = troubles.value.metrics;
  if (!trouble) return <Loading rows={2} what="the measurements" />;
  return (
    <Notice mood="info" title="There are no measurements of this device.">
      <p>{trouble}</p>
    </Notice>
  );
}

function tilesOf(last: Sample, recent: Sample[]): Tile[] {
  const cores = last.cores.length;
  const past = (value: (sample: Sample) => number | null) =>
    recent.map((sample) => value(sample) ?? 0);
  return [
    {
      name: 'Processor',
      amount: known(last.cpu_pct, percent),
      note: cores === 1 ? '1 core' : `${cores} cores`,
      values: past(({ cpu_pct }) => cpu_pct),
      max: 100,
      color: 'c1',
    },
    {
      name: 'Memory',
      amount: known(last.mem_used_bytes, bytes),
      note: `of ${text(known(last.mem_total_bytes, bytes))}`,
      values: past(({ mem_used_bytes }) => mem_used_bytes),
      ...(last.mem_total_bytes ? { max: last.mem_total_bytes } : {}),
      color: 'c2',
    },
    {
      name: 'Network in',
      amount: known(last.net_rx_bps, byteRate),
      note: `out ${text(known(last.net_tx_bps, byteRate))}`,
      values: past(({ net_rx_bps }) => net_rx_bps),
      color: 'c3',
    },
    {
      name: 'Load',
      amount: known(last.load1, plain),
      note: 'over one minute',
      values: past(({ load1 }) => load1),
      max: Math.max(cores, ...past(({ load1 }) => load1)),
      color: 'c4',
    },
    {
      name: 'Disk free',
      amount: known(diskFree(last), bytes),
      note: `of ${text(known(last.disk_total_bytes, bytes))}`,
      values: past(diskFree),
      ...(last.disk_total_bytes ? { max: last.disk_total_bytes } : {}),
      color: 'c5',
    },
    typeof last.temp_c === 'number'
      ? temperature(
          last.temp_c,
          past(({ temp_c }) => temp_c),
        )
      : uptime(last),
  ];
}

function known(value: number | null, say: (value: number) => Amount): Amount {
  return typeof value === 'number' ? say(value) : { value: '–', unit: '' };
}

function diskFree({ disk_total_bytes, disk_used_bytes }: Sample): number | null {
  return disk_total_bytes === null || disk_used_bytes === null
    ? null
    : disk_total_bytes - disk_used_bytes;
}

function temperature(now: number, values: number[]): Tile {
  return {
    name: 'Temperature',
    amount: celsius(now),
    note: now >= 80 ? 'hot' : now >= 65 ? 'warm' : 'comfortable',
    values,
    max: 100,
    color: 'c6',
  };
}

function uptime({ uptime_s }: Sample): Tile {
  const [first = '–', unit = '', ...rest] =
    uptime_s === null ? [] : duration(uptime_s * 1000).split(' ');
  return {
    name: 'Device up',
    amount: { value: first, unit },
    note: rest.length > 0 ? `and ${rest.join(' ')}` : 'since its start',
    values: [],
    color: 'c6',
  };
}
