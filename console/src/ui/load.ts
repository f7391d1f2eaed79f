// Reading something for a page: nothing yet, the value, or words for why not.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { wordsOf } from '../api/client';

export interface Loaded<T> {
  value: T | null;
  error: string;
  reload: () => void;
  set: (change: (value: T) => T) => void;
}

/**
 * Reads whenever `key` changes. The old value stays until the new one is there, unless the key
 * says that it is about something else; an answer that comes too late is dropped.
 */
export function useLoad<T>(key: string, read: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; value: T | null; error: string }>({
    key,
    value: null,
    error: '',
  });
  const turn = useRef(0);
  const reload = useCallback(() => {
    const mine = ++turn.current;
    read().then(
      (value) => mine === turn.current && setState({ key, value, error: '' }),
      (problem: unknown) =>
        mine === turn.current &&
        setState((old) => ({
          key,
          value: old.key === key ? old.value : null,
          error: wordsOf(problem),
        })),
    );
  }, [key]);
  useEffect(() => {
    reload();
    return () => {
      turn.current += 1;
    };
  }, [reload]);
  const set = useCallback((change: (value: T) => T) => {
    setState((old) => (old.value === null ? old : { ...old, value: change(old.value) }));
  }, []);
  const current = state.key === key;
  return { value: current ? state.value : null, error: current ? state.error : '', reload, set };
}
