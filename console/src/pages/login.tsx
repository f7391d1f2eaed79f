import { useState } from 'preact/hooks';
import { Problem, wordsOf } from '../api/client';
import { loginNotice, signIn } from '../state/session';
import { Button, Notice, TextField } from '../ui/basics';
import { Gate } from '../ui/gate';

export function Login() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      await signIn(name.trim(), password);
    } catch (problem) {
      setError(refusal(problem));
      setPassword('');
      setBusy(false);
    }
  }

  return (
    <Gate title="Sign in">
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {loginNotice.value && !error && <Notice mood="info">{loginNotice.value}</Notice>}
        {error && <Notice mood="bad">{error}</Notice>}
        <TextField
          label="Name"
          value={name}
          onValue={setName}
          autocomplete="username"
          required
          autofocus
        />
        <TextField
          label="Password"
          type="password"
          value={password}
          onValue={setPassword}
          autocomplete="current-password"
          required
        />
        <Button type="submit" look="primary" busy={busy}>
          {busy ? 'Signing in' : 'Sign in'}
        </Button>
      </form>
      <details class="help">
        <summary>Forgotten the password?</summary>
        <p>
          An owner can set a new one under Users. If nobody can sign in, set it on the device
          itself, in a terminal:
        </p>
        <pre>
          <code>periwinkle user password NAME</code>
        </pre>
      </details>
    </Gate>
  );
}

function refusal(problem: unknown): string {
  if (problem instanceof Problem && problem.status === 401) {
    return 'The name or the password is wrong.';
  }
  return wordsOf(problem);
}
