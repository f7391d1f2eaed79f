// A live chart: uPlot in a card, with a readable legend that follows the pointer. This module and
// uPlot are one chunk that only the home page loads.

import { effect, signal, useComputed, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Sample } from '../api/types';
import { clock } from '../format';
import { intervalMs, samples } from '../state/device';
import { isDark } from '../state/theme';

export interface Series {
  label: string;
  /** Name of a custom property, without the dashes. */
  color: string;
  value: (sample: Sample) => number | null | undefined;
  fill?: boolean;
  thin?: boolean;
  /** Thin helper lines are drawn but not listed. */
  unlisted?: boolean;
}

export interface ChartSpec {
  id: string;
  title: string;
  series: Series[];
  say: (value: number) => string;
  /** Shorter words on the axis, where `say` is too exact. */
  tick?: (value: number) => string;
  /** Ticks at powers of two, for what is counted in KiB and MiB. */
  binary?: boolean;
  /** The top of the scale; without it the data decide. */
  top?: (samples: Sample[]) => number;
  /** The smallest span worth showing when the data decide. */
  leastSpan?: number;
  fromZero?: boolean;
}

/** The index under the pointer, shared by all charts; null when the pointer is elsewhere. */
const pointed = signal<number | null>(null);
const shared = uPlot.sync('periwinkle');

const HEIGHT = 168;
/** A hole of more than this many intervals is drawn as a hole. */
const GAP_INTERVALS = 4;

const TIME_STEPS_S = [5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1_800, 3_600];
const BINARY_STEPS = Array.from({ length: 51 }, (_, exponent) => 2 ** exponent);

type Row = [number[], ...(number | null)[][]];

export function Chart({
  spec,
  windowS,
  extra,
}: {
  spec: ChartSpec;
  windowS: number;
  extra?: preact.ComponentChildren;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const stop = effect(() => {
      isDark();
      plot.current?.destroy();
      plot.current = host.current && create(spec, host.current);
      if (plot.current) feed(plot.current, spec, samples.peek(), windowS);
    });
    const watcher = new ResizeObserver(() => {
      const width = host.current?.clientWidth ?? 0;
      if (width > 0) plot.current?.setSize({ width, height: HEIGHT });
    });
    if (host.current) watcher.observe(host.current);
    return () => {
      watcher.disconnect();
      stop();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [spec, windowS]);
  useSignalEffect(() => {
    const all = samples.value;
    if (plot.current && !document.hidden) feed(plot.current, spec, all, windowS);
  });
  return (
    <section class="card chart" aria-labelledby={`chart-${spec.id}`}>
      <header class="chart-head">
        <h3 id={`chart-${spec.id}`}>{spec.title}</h3>
        {extra}
        <Legend spec={spec} windowS={windowS} />
      </header>
      <div class="chart-plot" ref={host} aria-hidden="true" />
    </section>
  );
}

function Legend({ spec, windowS }: { spec: ChartSpec; windowS: number }) {
  const sample = useComputed(() => {
    const index = pointed.value;
    const shown = inWindow(samples.value, windowS);
    return index === null ? shown.at(-1) : shown[index];
  }).value;
  return (
    <p class="legend">
      {spec.series
        .filter((series) => !series.unlisted)
        .map((series) => {
          const value = sample && series.value(sample);
          return (
            <span key={series.label}>
              <i class={`swatch ${series.color}`} />
              {series.label} <b>{typeof value === 'number' ? spec.say(value) : '–'}</b>
            </span>
          );
        })}
      {pointed.value !== null && sample && <time>{clock(sample.at_ms)}</time>}
    </p>
  );
}

function inWindow(all: Sample[], windowS: number): Sample[] {
  const last = all.at(-1);
  if (!last) return all;
  const from = last.at_ms - windowS * 1000;
  const first = all.findIndex((sample) => sample.at_ms >= from);
  return first <= 0 ? all : all.slice(first);
}

function feed(plot: uPlot, spec: ChartSpec, all: Sample[], windowS: number): void {
  const shown = inWindow(all, windowS);
  const last = shown.at(-1);
  if (!last) return;
  plot.batch(() => {
    plot.setData(columns(spec, shown) as unknown as uPlot.AlignedData, false);
    plot.setScale('x', { min: last.at_ms / 1000 - windowS, max: last.at_ms / 1000 });
    plot.setScale('y', span(spec, shown));
  });
}

function columns(spec: ChartSpec, shown: Sample[]): Row {
  const times: number[] = [];
  const values: (number | null)[][] = spec.series.map(() => []);
  shown.forEach((sample, index) => {
    const before = shown[index - 1];
    times.push(sample.at_ms / 1000);
    const hole =
      before !== undefined && sample.at_ms - before.at_ms > GAP_INTERVALS * intervalMs.peek();
    spec.series.forEach((series, column) => {
      const value = series.value(sample) ?? null;
      // One missing point is enough to break the line, and keeps indexes equal to samples.
      values[column]?.push(hole ? null : value);
    });
  });
  return [times, ...values];
}

function span(spec: ChartSpec, shown: Sample[]): { min: number; max: number } {
  if (spec.top) return { min: 0, max: spec.top(shown) };
  let min = Infinity;
  let max = -Infinity;
  for (const sample of shown) {
    for (const series of spec.series) {
      const value = series.value(sample);
      if (typeof value !== 'number') continue;
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  }
  if (min > max) return { min: 0, max: 1 };
  const least = spec.leastSpan ?? 1;
  if (spec.fromZero) return { min: 0, max: Math.max(max * 1.12, least) };
  const middle = (min + max) / 2;
  const half = Math.max((max - min) * 0.62, least / 2);
  return { min: middle - half, max: middle + half };
}

function create(spec: ChartSpec, host: HTMLDivElement): uPlot {
  const style = getComputedStyle(host);
  const tone = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${style.fontFamily}`;
  const axis = {
    stroke: tone('muted'),
    font,
    ticks: { show: false },
    grid: { stroke: tone('grid'), width: 1 },
  };
  return new uPlot(
    {
      width: host.clientWidth || 300,
      height: HEIGHT,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: shared.key, setSeries: false },
        drag: { x: false, y: false },
        points: { size: 7 },
        y: false,
      },
      scales: { x: { time: true, auto: false }, y: { auto: false } },
      axes: [
        {
          ...axis,
          space: 56,
          incrs: TIME_STEPS_S,
          size: 28,
          grid: { show: false },
          values: (_, ticks) => ticks.map((at) => timeOf(at)),
        },
        {
          ...axis,
          space: 34,
          size: 62,
          values: (_, ticks) => ticks.map(spec.tick ?? spec.say),
          ...(spec.binary ? { incrs: BINARY_STEPS } : {}),
        },
      ],
      series: [
        {},
        ...spec.series.map((series) => ({
          label: series.label,
          stroke: tone(series.color),
          width: series.thin ? 1 : 2,
          alpha: series.thin ? 0.45 : 1,
          points: { show: false },
          ...(series.fill ? { fill: tone(`${series.color}-soft`) } : {}),
        })),
      ],
      hooks: { setCursor: [(plot) => (pointed.value = plot.cursor.idx ?? null)] },
    },
    [[], ...spec.series.map(() => [])] as unknown as uPlot.AlignedData,
    host,
  );
}

function timeOf(seconds: number): string {
  const when = new Date(seconds * 1000);
  const withSeconds = when.getSeconds() !== 0;
  return when.toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    ...(withSeconds ? { second: '2-digit' } : {}),
  });
}
