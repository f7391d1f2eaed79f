// The periwinkle flower: the logo, and on the home page a picture of the device's health, where
// each of the five petals grows with what it stands for.

const PETAL = 'M-3-9C-17-18-27-33-19-43C-9-50 13-49 21-40C26-30 12-18 3-9Z';
const STAR =
  'M0.0 -8.5L12.6 -16.8L8.1 -2.6L19.9 6.8L5.0 6.9L-0.4 21.0L-5.0 6.9L-20.1 6.1L-8.1 -2.6L-12.0 -17.2Z';
const TURN_DEGREES = 72;

export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg class="logo" width={size} height={size} viewBox="-50 -50 100 100" aria-hidden="true">
      {[0, 1, 2, 3, 4].map((index) => (
        <path key={index} class="petal" d={PETAL} transform={`rotate(${index * TURN_DEGREES})`} />
      ))}
      <Eye />
    </svg>
  );
}

export interface Petal {
  name: string;
  /** 0 to 1; null while it is not known or not in use. */
  level: number | null;
  mood: 'calm' | 'busy' | 'bad';
  words: string;
}

/** Where the names stand around the flower, clockwise from the top. */
const NAME_PLACES: [number, number, 'start' | 'middle' | 'end'][] = [
  [0, -56, 'middle'],
  [52, -12, 'start'],
  [38, 54, 'start'],
  [-38, 54, 'end'],
  [-52, -12, 'end'],
];

/** Reads to a screen reader as one sentence: the words of all petals. */
export function HealthFlower({ petals }: { petals: Petal[] }) {
  return (
    <svg
      class="health-flower"
      viewBox="-52 -52 104 104"
      role="img"
      aria-label={petals.map(({ name, words }) => `${name}: ${words}`).join('; ')}
    >
      {petals.map(({ name, level, mood, words }, index) => (
        <g key={name} transform={`rotate(${index * TURN_DEGREES})`}>
          <title>{`${name}: ${words}`}</title>
          <path class="petal-bed" d={PETAL} />
          <path class={`petal-fill ${mood}`} d={PETAL} transform={`scale(${scaleOf(level)})`} />
        </g>
      ))}
      <Eye />
      {petals.map(({ name, mood }, index) => {
        const [x, y, anchor] = NAME_PLACES[index] ?? [0, 0, 'middle'];
        return (
          <text
            key={name}
            class={`petal-name ${mood}`}
            x={x}
            y={y}
            text-anchor={anchor}
            aria-hidden="true"
          >
            {name}
          </text>
        );
      })}
    </svg>
  );
}

/** Petals never vanish: nothing to do is a small calm petal. */
function scaleOf(level: number | null): string {
  return level === null ? '0' : (0.55 + 0.45 * Math.min(1, Math.max(0, level))).toFixed(3);
}

function Eye() {
  return (
    <>
      <path class="star" d={STAR} />
      <circle class="eye" r="4" />
    </>
  );
}
