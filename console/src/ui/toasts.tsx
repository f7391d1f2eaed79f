// Short news in the corner, read out politely by screen readers.

import { signal } from '@preact/signals';
import { Icon } from './icons';

interface Toast {
  id: number;
  words: string;
  mood: 'good' | 'bad';
}

const SHOWN_MS = 5_000;
const TOASTS_MAX = 3;
const toasts = signal<Toast[]>([]);
let nextId = 1;

export function toast(words: string, mood: Toast['mood'] = 'good'): void {
  const id = nextId++;
  toasts.value = [...toasts.value.slice(1 - TOASTS_MAX), { id, words, mood }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((one) => one.id !== id);
  }, SHOWN_MS);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, words, mood }) => (
        <p key={id} class={`toast ${mood}`}>
          <Icon name={mood === 'good' ? 'check' : 'alert'} />
          {words}
        </p>
      ))}
    </div>
  );
}
