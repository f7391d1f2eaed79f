// The numbers of this moment, each with a line of the last minute.

import type { Sample } from '../../api/types';
import { type Amount, byteRate, bytes, celsius, duration, percent, plain, text } from '../../format';
import { samples } from '../../state/device';
import { Loading } from '../../ui/basics';
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
        <Loading rows={2} what="the measurements" />
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

function tilesOf(last: Sample, recent: Sample[]): Tile[] {
  const cores = last.cores.length;
  const tiles: Tile[] = [
    {
      name: 'Processor',
      amount: percent(last.cpu_pct),
      note: cores === 1 ? '1 core' : `${cores} cores`,
      values: recent.map(({ cpu_pct }) => cpu_pct),
      max: 100,
      color: 'c1',
    },
    {
      name: 'Memory',
      amount: bytes(last.mem_used_bytes),
      note: `of ${text(bytes(last.mem_total_bytes))}`,
      values: recent.map(({ mem_used_bytes }) => mem_used_bytes),
      max: last.mem_total_bytes,
      color: 'c2',
    },
    {
      name: 'Network in',
      amount: byteRate(last.net_rx_bps),
      note: `out ${text(byteRate(last.net_tx_bps))}`,
      values: recent.map(({ net_rx_bps }) => net_rx_bps),
      color: 'c3',
    },
    {
      name: 'Load',
      amount: plain(last.load1),
      note: 'over one minute',
      values: recent.map(({ load1 }) => load1),
      max: Math.max(cores, ...recent.map(({ load1 }) => load1)),
      color: 'c4',
    },
    {
      name: 'Disk free',
      amount: bytes(last.disk_total_bytes - last.disk_used_bytes),
      note: `of ${text(bytes(last.disk_total_bytes))}`,
      values: recent.map((sample) => sample.disk_total_bytes - sample.disk_used_bytes),
      max: last.disk_total_bytes,
      color: 'c5',
    },
  ];
  tiles.push(last.temp_c === null || last.temp_c === undefined ? uptime(last) : temperature(last.temp_c, recent));
  return tiles;
}

function temperature(now: number, recent: Sample[]): Tile {
  return {
    name: 'Temperature',
    amount: celsius(now),
    note: now >= 80 ? 'hot' : now >= 65 ? 'warm' : 'comfortable',
    values: recent.map(({ temp_c }) => temp_c ?? 0),
    max: 100,
    color: 'c6',
  };
}

function uptime(last: Sample): Tile {
  const [first = '0', unit = 's', ...rest] = duration(last.uptime_s * 1000).split(' ');
  return {
    name: 'Device up',
    amount: { value: first, unit },
    note: rest.length > 0 ? `and ${rest.join(' ')}` : 'since its start',
    values: [],
    color: 'c6',
  };
}
