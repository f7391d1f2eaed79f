// Lets the changes of one model flow into the rows on screen, and remembers where they came from.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Change, ItemPage, Model } from '../../api/types';
import { MARKS_MAX } from '../../limits';
import { onChange } from '../../state/device';
import { applyChange, keyText, type View } from './live';
import type { Mark } from './table';

/** Changes of this long are taken together, so that a busy device does not keep the page busy. */
const TOGETHER_MS = 60;
/** How long a removed row stays visible as removed. */
const FAREWELL_MS = 1_200;

export interface Live {
  marks: Map<string, Mark>;
  /** Whether rows were added that this view does not show. */
  elsewhere: boolean;
  forget: () => void;
}

export function useLiveRows(
  model: Model,
  set: (change: (page: ItemPage) => ItemPage) => void,
  view: View,
): Live {
  const [marks, setMarks] = useState<Map<string, Mark>>(() => new Map());
  const [elsewhere, setElsewhere] = useState(false);
  const viewNow = useRef(view);
  viewNow.current = view;
  useEffect(() => {
    const timers = new Set<number>();
    const later = (ms: number, run: () => void) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        run();
      }, ms);
      timers.add(timer);
    };
    let waiting: Change[] = [];
    // The latest change of each key that waits or is being said farewell.
    const latest = new Map<string, Change>();

    function flush(): void {
      const taken = waiting;
      waiting = [];
      setMarks((old) => marked(old, taken));
      for (const change of taken) {
        if (change.type === 'put') apply(change);
        else later(FAREWELL_MS, () => apply(change));
      }
    }

    function apply(change: Change): void {
      const key = keyText(change.key);
      // A row that was made again meanwhile is not taken away by its earlier end.
      if (latest.get(key) !== change) return;
      latest.delete(key);
      set((page) => {
        const result = applyChange(model, page, change, viewNow.current);
        if (result.outcome === 'elsewhere' && change.type === 'put') setElsewhere(true);
        return result.page;
      });
    }

    const stop = onChange((change) => {
      if (change.model !== model.name) return;
      latest.set(keyText(change.key), change);
      if (waiting.length === 0) later(TOGETHER_MS, flush);
      waiting.push(change);
    });
    return () => {
      stop();
      timers.forEach(clearTimeout);
    };
  }, [model]);
  const forget = () => setElsewhere(false);
  useEffect(forget, [view.prefix, view.reverse, view.first]);
  return { marks, elsewhere, forget };
}

/** The marks with those of more changes; the oldest give way beyond the bound. */
function marked(old: Map<string, Mark>, changes: Change[]): Map<string, Mark> {
  const marks = new Map(old);
  for (const { key, origin, type } of changes) {
    const text = keyText(key);
    const turn = (marks.get(text)?.turn ?? 0) + 1;
    marks.delete(text);
    marks.set(text, { origin, type, turn });
  }
  const surplus = marks.size - MARKS_MAX;
  return surplus > 0 ? new Map([...marks].slice(surplus)) : marks;
}
