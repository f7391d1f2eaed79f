// Modal windows on the browser's own <dialog>, which keeps the focus inside and closes on Escape.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { wordsOf } from '../api/client';
import { Button, IconButton, Notice } from './basics';

interface DialogProps {
  title: ComponentChildren;
  onClose: () => void;
  side?: boolean;
  children: ComponentChildren;
}

/** A centred window, or with `side` a drawer that covers the whole of a phone. */
export function Dialog({ title, onClose, side = false, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const element = box.current;
    element?.showModal();
    // Without a field that asks for it, the focus belongs to the window and not to its close button.
    if (!element?.querySelector('[data-focused]')) element?.focus();
    return () => {
      element?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={box}
      tabIndex={-1}
      class={side ? 'dialog drawer' : 'dialog'}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === box.current && onClose()}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  onClose: () => void;
  onConfirm: () => Promise<unknown>;
  children: ComponentChildren;
}

/** Asks before something that cannot be taken back, and says why if it fails. */
export function Confirm({ title, action, onClose, onConfirm, children }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (problem) {
      setError(wordsOf(problem));
      setBusy(false);
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack">
        {children}
        {error && <Notice mood="bad">{error}</Notice>}
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="danger" busy={busy} onClick={() => void confirm()}>
            {action}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
