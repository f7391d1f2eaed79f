// The database holds decimals of up to 38 digits; a JavaScript number holds 15. JSON that carries
// items is therefore read and written here: a number that a JavaScript number would change
// travels as a `Decimal`, which keeps its text.

export class Decimal {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
}

const TAG = '\u0001decimal:';
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const TAGGED = /"\\u0001decimal:([-+.\deE]+)"/g;

/** Every decimal of this many digits survives a JavaScript number. */
const SAFE_DIGITS = 15;

/** The number a text says: a plain number if that loses nothing, otherwise a `Decimal`. */
export function exactNumber(text: string): number | Decimal {
  return isSafe(text) ? Number(text) : new Decimal(text);
}

function isSafe(text: string): boolean {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
  const digits = mantissa.replace(/[-.]/g, '').replace(/^0+|0+$/g, '');
  return digits.length <= SAFE_DIGITS && Math.abs(Number(exponent)) < 200 && mantissa.length < 200;
}

export function parseExact(text: string): unknown {
  const safe = text.replace(TOKEN, (token) =>
    token.startsWith('"') || isSafe(token) ? token : JSON.stringify(TAG + token),
  );
  return JSON.parse(safe, (_, value) =>
    typeof value === 'string' && value.startsWith(TAG)
      ? new Decimal(value.slice(TAG.length))
      : value,
  );
}

export function stringifyExact(value: unknown, indent = 0): string {
  const text = JSON.stringify(
    value,
    (_, part) => (part instanceof Decimal ? TAG + part.text : part),
    indent,
  );
  return text.replace(TAGGED, '$1');
}

/** Same content, decimals compared by their text. */
export function sameValue(a: unknown, b: unknown): boolean {
  return a === b || (a !== undefined && b !== undefined && stringifyExact(a) === stringifyExact(b));
}
