// The recent past as charts. A module of its own because it brings uPlot.

import { computed, signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Sample } from '../../api/types';
import { byteRate, bytes, celsius, duration, percent, plain, text } from '../../format';
import { samples } from '../../state/device';
import { Chart, type ChartSpec, type Series } from '../../ui/chart';

const WINDOWS_S = [60, 300, 900, 3_600];
const chosenS = signal<number | null>(null);
const LITTLE_S = 100;
const CORES_DRAWN_MAX = 16;

/** What somebody chose; until then five minutes, or one while there is little to show yet. */
const windowS = computed(() => {
  const all = samples.value;
  const knownS = ((all.at(-1)?.at_ms ?? 0) - (all[0]?.at_ms ?? 0)) / 1000;
  return chosenS.value ?? (knownS < LITTLE_S ? 60 : 300);
});

export function Charts() {
  const last = samples.value.at(-1);
  const cores = last?.cores.length ?? 0;
  const warm = samples.value.some(({ temp_c }) => typeof temp_c === 'number');
  const specs = useMemo(() => specsOf(cores, warm), [cores, warm]);
  return (
    <section aria-labelledby="charts-title">
      <header class="section-head">
        <h2 id="charts-title">Live</h2>
        <WindowChoice />
      </header>
      <div class="charts">
        {specs.map((spec) => (
          <Chart
            key={spec.id}
            spec={spec}
            windowS={windowS.value}
            extra={spec.id === 'cpu' && last && cores > 1 ? <Cores cores={last.cores} /> : null}
          />
        ))}
      </div>
    </section>
  );
}

function WindowChoice() {
  return (
    <fieldset class="segments">
      <legend class="visually-hidden">Time shown</legend>
      {WINDOWS_S.map((seconds) => (
        <label key={seconds}>
          <input
            type="radio"
            name="window"
            checked={windowS.value === seconds}
            onChange={() => (chosenS.value = seconds)}
          />
          <span>{duration(seconds * 1000)}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** One upright bar a core. */
function Cores({ cores }: { cores: number[] }) {
  const words = cores.map((busy, index) => `core ${index} ${Math.round(busy)} %`).join(', ');
  return (
    <svg
      class="cores"
      viewBox={`0 0 ${cores.length * 8} 20`}
      width={cores.length * 8}
      height="20"
      role="img"
      aria-label={words}
    >
      <title>{words}</title>
      {cores.map((busy, index) => {
        const height = 2 + (Math.min(100, busy) / 100) * 18;
        return (
          <g key={index}>
            <rect class="core-bed" x={index * 8 + 1} y="0" width="6" height="20" rx="2" />
            <rect
              class="core-fill"
              x={index * 8 + 1}
              y={20 - height}
              width="6"
              height={height}
              rx="2"
            />
          </g>
        );
      })}
    </svg>
  );
}

function specsOf(cores: number, warm: boolean): ChartSpec[] {
  const specs: ChartSpec[] = [
    {
      id: 'cpu',
      title: 'Processor',
      series: [
        ...coreSeries(cores),
        { label: 'all cores', color: 'c1', value: ({ cpu_pct }) => cpu_pct, fill: true },
      ],
      say: (value) => text(percent(value)),
      tick: (value) => text({ value: String(value), unit: '%' }),
      top: () => 100,
    },
    {
      id: 'memory',
      title: 'Memory',
      series: [
        { label: 'used', color: 'c2', value: ({ mem_used_bytes }) => mem_used_bytes, fill: true },
      ],
      say: (value) => text(bytes(value)),
      tick: (value) => text(bytes(value, 'short')),
      binary: true,
      top: (shown) => shown.at(-1)?.mem_total_bytes ?? 1,
    },
    {
      id: 'network',
      title: 'Network',
      series: [
        { label: 'in', color: 'c3', value: ({ net_rx_bps }) => net_rx_bps, fill: true },
        { label: 'out', color: 'c4', value: ({ net_tx_bps }) => net_tx_bps },
      ],
      say: (value) => text(byteRate(value)),
      fromZero: true,
      leastSpan: 1_000,
    },
    {
      id: 'load',
      title: 'Load',
      series: [{ label: 'one minute', color: 'c4', value: ({ load1 }) => load1, fill: true }],
      say: (value) => text(plain(value)),
      fromZero: true,
      leastSpan: 1,
    },
    {
      id: 'disk',
      title: 'Disk',
      series: [
        { label: 'used', color: 'c5', value: ({ disk_used_bytes }) => disk_used_bytes, fill: true },
      ],
      say: (value) => text(bytes(value)),
      tick: (value) => text(bytes(value, 'short')),
      binary: true,
      top: (shown: Sample[]) => shown.at(-1)?.disk_total_bytes ?? 1,
    },
  ];
  if (warm) {
    specs.push({
      id: 'temperature',
      title: 'Temperature',
      series: [{ label: 'warmest', color: 'c6', value: ({ temp_c }) => temp_c }],
      say: (value) => text(celsius(value)),
      leastSpan: 8,
    });
  }
  return specs;
}

function coreSeries(cores: number): Series[] {
  if (cores < 2 || cores > CORES_DRAWN_MAX) return [];
  return Array.from({ length: cores }, (_, core) => ({
    label: `core ${core}`,
    color: 'c1',
    value: (sample: Sample) => sample.cores[core],
    thin: true,
    unlisted: true,
  }));
}
