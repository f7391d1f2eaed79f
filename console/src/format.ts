// Numbers and times in words and units. Binary units for what is stored, decimal for what flows.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL = ['B/s', 'kB/s', 'MB/s', 'GB/s'];

export interface Amount {
  value: string;
  unit: string;
}

/** Short: without digits that say nothing, "1 GiB" instead of "1.00 GiB". */
export function bytes(amount: number, form: 'full' | 'short' = 'full'): Amount {
  const { value, unit } = scaled(amount, 1024, BINARY);
  return { value: form === 'short' ? String(Number(value)) : value, unit };
}

export function byteRate(amount: number): Amount {
  return scaled(amount, 1000, DECIMAL);
}

export function percent(amount: number): Amount {
  return { value: amount < 9.95 ? amount.toFixed(1) : String(Math.round(amount)), unit: '%' };
}

export function celsius(amount: number): Amount {
  return { value: amount.toFixed(1), unit: '°C' };
}

export function plain(amount: number): Amount {
  return { value: amount.toFixed(2), unit: '' };
}

export function text({ value, unit }: Amount): string {
  return unit === '' ? value : `${value}\u202f${unit}`;
}

export function count(amount: number): string {
  return amount.toLocaleString('en').replace(/,/g, '\u202f');
}

/** "1 change", "12 changes". */
export function several(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}

/** Two largest units: "3 d 4 h", "12 min 5 s", "8 s". */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(s / 86_400), 'd'],
    [Math.floor(s / 3600) % 24, 'h'],
    [Math.floor(s / 60) % 60, 'min'],
    [s % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

export function ago(ms: number): string {
  return ms < 2_000 ? 'just now' : `${duration(ms).split(' ').slice(0, 2).join(' ')} ago`;
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}

export function dateTime(ms: number): string {
  const when = new Date(ms);
  if (Number.isNaN(when.getTime())) return 'an unknown time';
  return when.toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
}

function scaled(amount: number, step: number, units: string[]): Amount {
  let value = amount;
  let index = 0;
  while (Math.abs(value) >= step * 0.9995 && index < units.length - 1) {
    value /= step;
    index += 1;
  }
  const digits = index === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return { value: value.toFixed(digits), unit: units[index] ?? '' };
}
