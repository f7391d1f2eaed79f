// The person's own corner: who is signed in, password, sign out.

import { useEffect, useRef, useState } from 'preact/hooks';
import { call, Problem, wordsOf } from './api/client';
import { PASSWORD_LENGTH_MIN } from './limits';
import { session, signOut } from './state/session';
import { Button, Notice, TextField } from './ui/basics';
import { Dialog } from './ui/dialog';
import { Icon } from './ui/icons';
import { toast } from './ui/toasts';

const ROLE_WORDS = {
  viewer: 'may look at everything',
  editor: 'may change data',
  owner: 'may do everything',
};

export function AccountMenu() {
  const box = useRef<HTMLDetailsElement>(null);
  const [changing, setChanging] = useState(false);
  const close = () => box.current?.removeAttribute('open');
  useEffect(() => closeOutside(box, close), []);
  const who = session.value;
  if (!who) return null;
  return (
    <>
      <details class="account" ref={box}>
        <summary aria-label={`Account of ${who.user}`}>
          <span class="avatar" aria-hidden="true">
            {who.user.slice(0, 1).toUpperCase()}
          </span>
        </summary>
        <div class="menu">
          <p>
            <strong>{who.user}</strong>
            <span class="muted">{`${who.role}, ${ROLE_WORDS[who.role]}`}</span>
          </p>
          <button
            type="button"
            onClick={() => {
              close();
              setChanging(true);
            }}
          >
            <Icon name="key" />
            Change password
          </button>
          <button
            type="button"
            onClick={() => void signOut().catch((error) => toast(wordsOf(error), 'bad'))}
          >
            <Icon name="leave" />
            Sign out
          </button>
        </div>
      </details>
      {changing && <OwnPassword onClose={() => setChanging(false)} />}
    </>
  );
}

function closeOutside(box: { current: HTMLDetailsElement | null }, close: () => void): () => void {
  const onPointer = (event: Event) => {
    if (!box.current?.contains(event.target as Node)) close();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !box.current?.open) return;
    close();
    box.current.querySelector('summary')?.focus();
  };
  document.addEventListener('pointerdown', onPointer);
  document.addEventListener('keydown', onKey);
  return () => {
    document.removeEventListener('pointerdown', onPointer);
    document.removeEventListener('keydown', onKey);
  };
}

function OwnPassword({ onClose }: { onClose: () => void }) {
  const [old, setOld] = useState('');
  const [wanted, setWanted] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      await call('PUT', 'session/password', { old, new: wanted });
      toast('Your password is changed.');
      onClose();
    } catch (problem) {
      const refused = problem instanceof Problem && problem.kind === 'login_failed';
      setError(refused ? 'The present password is wrong.' : wordsOf(problem));
      setBusy(false);
    }
  }

  return (
    <Dialog title="Change your password" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <input
          class="visually-hidden"
          autocomplete="username"
          value={session.value?.user}
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        {error && <Notice mood="bad">{error}</Notice>}
        <TextField
          label="Present password"
          type="password"
          value={old}
          onValue={setOld}
          autocomplete="current-password"
          required
          autofocus
        />
        <TextField
          label="New password"
          type="password"
          value={wanted}
          onValue={setWanted}
          autocomplete="new-password"
          minLength={PASSWORD_LENGTH_MIN}
          hint={`At least ${PASSWORD_LENGTH_MIN} characters.`}
          required
        />
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={busy}>
            Change password
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
