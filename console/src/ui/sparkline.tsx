// A small line of the recent past, drawn as SVG without axes; the number beside it carries the
// meaning, so it is hidden from screen readers.

const WIDTH = 120;
const HEIGHT = 32;
const POINTS_MAX = 60;

export function Sparkline({
  values,
  max,
  color,
}: {
  values: number[];
  max?: number;
  color: string;
}) {
  const shown = values.slice(-POINTS_MAX);
  if (shown.length < 2)
    return <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" />;
  const line = pathOf(shown, max ?? Math.max(...shown, 1e-9) * 1.15);
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path class={`spark-area ${color}`} d={`${line}V${HEIGHT}H${xOf(0, shown.length)}Z`} />
      <path class={`spark-line ${color}`} d={line} />
    </svg>
  );
}

function pathOf(values: number[], max: number): string {
  return values
    .map((value, index) => {
      const share = Math.min(1, Math.max(0, value / max));
      const y = HEIGHT - 2 - share * (HEIGHT - 4);
      return `${index === 0 ? 'M' : 'L'}${xOf(index, values.length)} ${y.toFixed(1)}`;
    })
    .join('');
}

/** The newest value is at the right edge, also while there are few. */
function xOf(index: number, length: number): string {
  return (WIDTH - ((length - 1 - index) * WIDTH) / (POINTS_MAX - 1)).toFixed(1);
}
