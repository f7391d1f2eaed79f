// Between the values of an item and what a form holds, which is always text: '' is "not set".
// Pure, so that tests can go through every type.

import { Decimal, exactNumber, parseExact, sameValue, stringifyExact } from '../../api/numbers';
import type { Field, Item, Model } from '../../api/types';
import { COLUMNS_MAX } from '../../limits';

export type Drafts = Record<string, string>;

export interface FieldProblem {
  field: string;
  words: string;
}

const SHOWN_CHARS_MAX = 60;
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function formFields(model: Model): Field[] {
  const rank = (field: Field) => {
    const key = model.keys.indexOf(field.name);
    return key < 0 ? model.keys.length : key;
  };
  return [...model.fields].sort((a, b) => rank(a) - rank(b));
}

/** The most telling key variable leads, if there is one; the others, mostly a month or a group, close
 *  the row. */
export function tableFields(model: Model): Field[] {
  const fields = formFields(model);
  const named = (name: string) => fields.find((field) => field.name === name) ?? textField(name);
  const telling = model.keys.slice(-1).map(named);
  const others = model.keys.slice(0, -1).map(named);
  const rest = fields.filter(({ name }) => !model.keys.includes(name));
  return [...telling, ...rest.slice(0, COLUMNS_MAX - model.keys.length), ...others];
}

function textField(name: string): Field {
  return { name, type: 'string', required: true };
}

export function keyOf(model: Model, item: Item): string[] {
  return model.keys.map((name) => String(item[name] ?? ''));
}

/** What is stored beside the fields of the schema: attributes of other programs, and our marks. */
export function otherAttributes(model: Model, item: Item): [string, unknown][] {
  const known = new Set([...model.keys, ...model.fields.map(({ name }) => name)]);
  return Object.entries(item).filter(([name]) => !known.has(name));
}

/** Whether the agent finds a value by itself when a new item leaves this field empty. */
export function fillsItself(field: Field): boolean {
  return field.default !== undefined && field.default !== null;
}

export function draftsOf(fields: Field[], item: Item): Drafts {
  return Object.fromEntries(fields.map((field) => [field.name, draftOf(field, item[field.name])]));
}

export function draftOf(field: Field, value: unknown): string {
  if (value === undefined || value === null) return '';
  switch (field.type) {
    case 'date':
      return localTime(value);
    case 'array':
    case 'object':
    case 'set':
      return stringifyExact(value, 2);
    default:
      return typeof value === 'object' && !(value instanceof Decimal)
        ? stringifyExact(value)
        : String(value);
  }
}

/** The value a draft says; throws a sentence if it says none of this type. */
export function valueOf(field: Field, draft: string): unknown {
  switch (field.type) {
    case 'number':
      if (!NUMBER.test(draft.trim())) throw new Error('This is not a number.');
      return exactNumber(draft.trim());
    case 'boolean':
      return draft === 'true';
    case 'date':
      return isoTime(draft);
    case 'array':
    case 'set':
      return jsonOf(draft, Array.isArray, 'a list, such as ["a", "b"]');
    case 'object':
      return jsonOf(draft, isObject, 'an object, such as {"name": "value"}');
    case 'binary':
      if (!BASE64.test(draft.trim())) throw new Error('This is not base64.');
      return draft.trim();
    case 'string':
      return field.enum?.find((choice) => String(choice) === draft) ?? draft;
  }
}

/** A whole new item, fields left empty left out. */
export function newItem(fields: Field[], drafts: Drafts): { item: Item; problems: FieldProblem[] } {
  const item: Item = {};
  const problems: FieldProblem[] = [];
  for (const field of fields) {
    const draft = drafts[field.name] ?? '';
    if (draft === '') {
      if (field.required && !fillsItself(field)) {
        problems.push({ field: field.name, words: 'This is needed.' });
      }
      continue;
    }
    read(field, draft, problems, (value) => (item[field.name] = value));
  }
  return { item, problems };
}

/** What differs between an item and the form; null takes a field away. */
export function patchOf(
  fields: Field[],
  before: Item,
  drafts: Drafts,
): { patch: Item; problems: FieldProblem[] } {
  const patch: Item = {};
  const problems: FieldProblem[] = [];
  for (const field of fields) {
    const draft = drafts[field.name] ?? '';
    if (draft === draftOf(field, before[field.name])) continue;
    if (draft !== '') {
      read(field, draft, problems, (value) => {
        if (!sameValue(value, before[field.name])) patch[field.name] = value;
      });
    } else if (field.required && field.type !== 'string') {
      problems.push({ field: field.name, words: 'This is needed.' });
    } else {
      patch[field.name] = field.required ? '' : null;
    }
  }
  return { patch, problems };
}

/** One short line for a table cell. */
export function shown(field: Field, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (field.type === 'date') return shownDate(value);
  if (typeof value === 'number' || value instanceof Decimal) return shownNumber(String(value));
  const text = typeof value === 'object' ? stringifyExact(value) : String(value);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
}

/** Fractions are rounded to what can be compared at a glance; the drawer has every digit. */
function shownNumber(text: string): string {
  const value = Number(text);
  if (Number.isInteger(value) || Math.abs(value) >= 1e12) return text;
  return String(
    Math.abs(value) >= 1000 ? Math.round(value * 100) / 100 : Number(value.toPrecision(6)),
  );
}

function read(
  field: Field,
  draft: string,
  problems: FieldProblem[],
  take: (value: unknown) => void,
): void {
  try {
    take(valueOf(field, draft));
  } catch (problem) {
    problems.push({ field: field.name, words: (problem as Error).message });
  }
}

function jsonOf(draft: string, fits: (value: unknown) => boolean, wanted: string): unknown {
  let value: unknown;
  try {
    value = parseExact(draft);
  } catch {
    throw new Error(`This is not JSON; it should be ${wanted}.`);
  }
  if (!fits(value)) throw new Error(`This should be ${wanted}.`);
  return value;
}

function isObject(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Decimal)
  );
}

function timeOf(value: unknown): Date {
  return new Date(typeof value === 'number' ? value : String(value));
}

/** For <input type="datetime-local">: this browser's time zone, without a zone mark. */
function localTime(value: unknown): string {
  const when = timeOf(value);
  if (Number.isNaN(when.getTime())) return '';
  const shifted = new Date(when.getTime() - when.getTimezoneOffset() * 60_000);
  return shifted
    .toISOString()
    .slice(0, -1)
    .replace(/\.000$/, '');
}

function isoTime(draft: string): string {
  const when = new Date(draft);
  if (Number.isNaN(when.getTime())) throw new Error('This is not a date and time.');
  return when.toISOString();
}

function shownDate(value: unknown): string {
  const when = timeOf(value);
  if (Number.isNaN(when.getTime())) return String(value);
  return when.toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
}
