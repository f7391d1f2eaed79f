// How a change that arrives by the live stream alters the page of rows that is on screen. Pure.

import { PAGE_ROWS_MAX } from '../../limits';
import type { Change, Item, ItemPage, Model } from '../../api/types';
import { keyOf } from './fields';

export interface View {
  prefix: string;
  reverse: boolean;
  /** Whether rows before, or after, those on screen exist. */
  first: boolean;
}

export type Outcome = 'updated' | 'added' | 'removed' | 'elsewhere';

export function keyText(key: readonly string[]): string {
  return key.join('\u0000');
}

export function applyChange(
  model: Model,
  page: ItemPage,
  change: Change,
  view: View,
): { page: ItemPage; outcome: Outcome } {
  const wanted = keyText(change.key);
  const index = page.items.findIndex((item) => keyText(keyOf(model, item)) === wanted);
  if (change.type === 'remove' || !change.item) {
    if (index < 0) return { page, outcome: 'elsewhere' };
    return {
      page: { ...page, items: page.items.filter((_, at) => at !== index) },
      outcome: 'removed',
    };
  }
  if (index >= 0) {
    const items = [...page.items];
    items[index] = change.item;
    return { page: { ...page, items }, outcome: 'updated' };
  }
  return insert(model, page, change.item, view);
}

/** A new row goes where the order wants it, if that place is on this page. */
function insert(
  model: Model,
  page: ItemPage,
  item: Item,
  view: View,
): { page: ItemPage; outcome: Outcome } {
  // A prefix is matched by the agent against the stored key; guessing it here could show a row too many.
  if (view.prefix !== '' || page.items.length >= PAGE_ROWS_MAX)
    return { page, outcome: 'elsewhere' };
  const text = keyText(keyOf(model, item));
  const before = (other: Item) => {
    const otherText = keyText(keyOf(model, other));
    return view.reverse ? otherText > text : otherText < text;
  };
  const found = page.items.findIndex((other) => !before(other));
  const at = found < 0 ? page.items.length : found;
  const beyondStart = at === 0 && !view.first;
  const beyondEnd = at === page.items.length && page.next !== null;
  if (beyondStart || beyondEnd) return { page, outcome: 'elsewhere' };
  return { page: { ...page, items: page.items.toSpliced(at, 0, item) }, outcome: 'added' };
}
