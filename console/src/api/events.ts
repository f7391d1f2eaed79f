// The one live stream of a page. The browser's EventSource comes back by itself after most
// losses; this adds the cases where it gives up (an error answer), where the line is dead without
// saying so (silence), and where nobody looks (a hidden page gives its connection back).

import { parseExact } from './numbers';

export type EventKind = 'metrics' | 'change' | 'sync' | 'status';
export type Handlers = Record<EventKind, (data: unknown) => void>;

export interface StreamOptions {
  topics: string;
  handlers: Handlers;
  /** Called whenever a stream opened or left something out: what was missed must be read anew. */
  onLive: () => void;
  onLost: () => void;
}

const KINDS: EventKind[] = ['metrics', 'change', 'sync', 'status'];
const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 15_000;
const OPEN_MS_MAX = 10_000;
const SILENCE_MS_MAX = 20_000;
const HIDDEN_MS_MAX = 60_000;

export function openStream(options: StreamOptions): () => void {
  let source: EventSource | null = null;
  let retryMs = RETRY_MS_FIRST;
  let timer: number | undefined;
  let hiddenTimer: number | undefined;

  function connect(): void {
    disconnect();
    source = new EventSource(`/api/v1/events?topics=${options.topics}`);
    source.onopen = opened;
    source.onerror = lost;
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        wake(SILENCE_MS_MAX, connect);
        options.handlers[kind](decode(kind, (event as MessageEvent<string>).data));
      });
    }
    source.addEventListener('missed', options.onLive);
    wake(OPEN_MS_MAX, lost);
  }

  function opened(): void {
    retryMs = RETRY_MS_FIRST;
    wake(SILENCE_MS_MAX, connect);
    options.onLive();
  }

  function lost(): void {
    disconnect();
    options.onLost();
    wake(retryMs, connect);
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  }

  function disconnect(): void {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function wake(afterMs: number, then: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(then, afterMs);
  }

  function onVisibility(): void {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      hiddenTimer = setTimeout(disconnect, HIDDEN_MS_MAX);
    } else if (source === null) {
      connect();
    }
  }

  document.addEventListener('visibilitychange', onVisibility);
  addEventListener('online', connect);
  connect();
  return () => {
    document.removeEventListener('visibilitychange', onVisibility);
    removeEventListener('online', connect);
    clearTimeout(hiddenTimer);
    disconnect();
  };
}

function decode(kind: EventKind, text: string): unknown {
  return kind === 'change' ? parseExact(text) : JSON.parse(text);
}
