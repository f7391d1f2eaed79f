// The rows of one model: filter, order, pages, and changes as they happen.

import { useEffect, useRef, useState } from 'preact/hooks';
import { call, dataPath } from '../../api/client';
import type { ItemPage, Model } from '../../api/types';
import { PAGE_ROWS } from '../../limits';
import { generation } from '../../state/device';
import { dataAddress, go, place } from '../../state/route';
import { canEdit } from '../../state/session';
import { Button, Empty, Failure, Loading } from '../../ui/basics';
import { Icon } from '../../ui/icons';
import { useLoad } from '../../ui/load';
import { DIRECTION } from './direction';
import { ItemDrawer } from './drawer';
import { keyText } from './live';
import { useLiveRows } from './live-rows';
import { Table } from './table';

const PREFIX_PAUSE_MS = 300;

export function Rows({ model }: { model: Model }) {
  const [prefix, setPrefix] = useState('');
  const [reverse, setReverse] = useState(model.sync === 'up');
  // The tokens of the pages walked through; the last one is of the page on screen.
  const [tokens, setTokens] = useState<string[]>([]);
  const token = tokens.at(-1) ?? '';
  const rows = useLoad(JSON.stringify([prefix, reverse, token]), () =>
    readPage(model, prefix, reverse, token),
  );
  const live = useLiveRows(model, rows.set, { prefix, reverse, first: token === '' });
  const reload = () => {
    live.forget();
    rows.reload();
  };
  const seen = useRef(generation.peek());
  useEffect(() => {
    if (seen.current !== generation.value) reload();
    seen.current = generation.value;
  }, [generation.value]);

  const writable = canEdit.value && model.sync !== 'down';
  const restart = () => setTokens([]);
  const { rest, creating } = place.value;
  const itemKey = creating ? null : keyIn(rest, model);
  return (
    <section class="rows" aria-labelledby="model-title">
      <header class="section-head">
        <div>
          <h1 id="model-title">{model.name}</h1>
          <p class="muted">{DIRECTION[model.sync].words}</p>
        </div>
        {writable && (
          <Button look="primary" icon="plus" onClick={() => go(`${dataAddress(model.name)}?new`)}>
            New row
          </Button>
        )}
      </header>
      <div class="toolbar">
        <PrefixField
          name={model.keys[0] ?? 'key'}
          onPrefix={(text) => (setPrefix(text), restart())}
        />
        <Button
          icon="sort"
          aria-pressed={reverse}
          onClick={() => (setReverse(!reverse), restart())}
        >
          <span>Last first</span>
        </Button>
        <Button icon="retry" onClick={reload}>
          <span>Refresh</span>
        </Button>
      </div>
      <div role="status">
        {live.elsewhere && (
          <p class="elsewhere">
            New rows arrived outside this view.
            <Button look="ghost" onClick={() => (restart(), reload())}>
              Show the first page
            </Button>
          </p>
        )}
      </div>
      {rows.error && <Failure what="The rows" words={rows.error} retry={reload} />}
      {!rows.value && !rows.error && <Loading rows={6} what="the rows" />}
      {rows.value && rows.value.items.length === 0 && rows.value.next === null && (
        <NoRows model={model} prefix={prefix} writable={writable} />
      )}
      {rows.value && rows.value.items.length > 0 && (
        <Table model={model} items={rows.value.items} marks={live.marks} />
      )}
      {rows.value && (
        <Pages
          page={tokens.length + 1}
          rows={rows.value.items.length}
          next={rows.value.next}
          onBack={() => setTokens(tokens.slice(0, -1))}
          onNext={(next) => setTokens([...tokens, next])}
        />
      )}
      {(itemKey || creating) && (
        <ItemDrawer
          key={creating ? '?new' : keyText(rest)}
          model={model}
          itemKey={itemKey}
          writable={writable}
          onClose={() => go(dataAddress(model.name))}
        />
      )}
    </section>
  );
}

/** The key of the item that the address names, if it names one. */
function keyIn(rest: readonly string[], model: Model): string[] | null {
  const key = rest.slice(1);
  if (key.length === 1 && key[0] === '') return model.keys.length === 0 ? [] : null;
  return key.length === 0 ? null : key;
}

function readPage(
  model: Model,
  prefix: string,
  reverse: boolean,
  token: string,
): Promise<ItemPage> {
  const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
  if (prefix !== '') query.set('prefix', prefix);
  if (reverse) query.set('reverse', 'true');
  if (token !== '') query.set('next', token);
  return call<ItemPage>('GET', `${dataPath(model.name)}?${query}`);
}

function PrefixField({ name, onPrefix }: { name: string; onPrefix: (text: string) => void }) {
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <label class="search">
      <Icon name="search" />
      <span class="visually-hidden">{`${name} starts with`}</span>
      <input
        type="search"
        placeholder={`${name} starts with`}
        autocapitalize="none"
        spellcheck={false}
        onInput={(event) => {
          const text = event.currentTarget.value;
          clearTimeout(timer.current);
          timer.current = setTimeout(() => onPrefix(text), PREFIX_PAUSE_MS);
        }}
      />
    </label>
  );
}

function NoRows({ model, prefix, writable }: { model: Model; prefix: string; writable: boolean }) {
  if (prefix !== '') {
    return (
      <Empty icon="search" title="Nothing starts like this">
        <p>
          No {model.name} has a {model.keys[0]} that begins with “{prefix}”.
        </p>
      </Empty>
    );
  }
  return (
    <Empty icon="data" title={`No ${model.name} rows yet`}>
      <p>
        {writable
          ? 'Make the first one with “New row”; rows from elsewhere appear here by themselves.'
          : 'Rows appear here by themselves as soon as there are any.'}
      </p>
    </Empty>
  );
}

interface PagesProps {
  page: number;
  rows: number;
  next: string | null;
  onBack: () => void;
  onNext: (next: string) => void;
}

function Pages({ page, rows, next, onBack, onNext }: PagesProps) {
  if (page === 1 && next === null)
    return <p class="muted pages">{rows > 0 ? `${rows} in all` : ''}</p>;
  return (
    <nav class="pages" aria-label="Pages of rows">
      <Button icon="left" disabled={page === 1} onClick={onBack}>
        Back
      </Button>
      <span role="status">{`Page ${page}`}</span>
      <Button disabled={next === null} onClick={() => next !== null && onNext(next)}>
        Next
        <Icon name="right" />
      </Button>
    </nav>
  );
}
