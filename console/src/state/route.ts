// Where the person is: the path of the address bar, as a signal.

import { computed, signal } from '@preact/signals';

import { behindModel } from '../api/client';

export interface Place {
  page: 'home' | 'data' | 'replication' | 'uploads' | 'users' | 'unknown';
  /** The rest of the path, segments decoded: model and key on the data page, where a key that is
   *  one empty segment is that of a model's only item. */
  rest: string[];
  creating: boolean;
}

const PAGES: Place['page'][] = ['data', 'replication', 'uploads', 'users'];

const address = signal(location.pathname + location.search);

export const place = computed<Place>(() => parsePlace(address.value));

addEventListener('popstate', () => {
  address.value = location.pathname + location.search;
});

export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  if (to === address.peek()) return;
  if (how === 'push') history.pushState(null, '', to);
  else history.replaceState(null, '', to);
  address.value = to;
}

/** The console's own address of a model's rows, or of the item with this key. */
export function dataAddress(model: string, key?: readonly string[]): string {
  return '/' + ['data', model, ...behindModel(key)].map(encodeURIComponent).join('/');
}

export function parsePlace(text: string): Place {
  const [path = '/', query = ''] = text.split('?');
  const [first = '', ...rest] = path.split('/').slice(1).map(decode);
  const page = first === '' ? 'home' : PAGES.find((known) => known === first);
  const isOnlyItem = page === 'data' && rest.length === 2;
  return {
    page: page ?? 'unknown',
    rest: rest.filter((segment, at) => segment !== '' || at < rest.length - 1 || isOnlyItem),
    creating: query === 'new',
  };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
