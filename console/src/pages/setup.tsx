import { useState } from 'preact/hooks';
import { Problem, wordsOf } from '../api/client';
import { PASSWORD_LENGTH_MIN } from '../limits';
import { setUp, start } from '../state/session';
import { Button, Notice, TextField } from '../ui/basics';
import { Gate } from '../ui/gate';

export function Setup() {
  const [code, setCode] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [wrong, setWrong] = useState<Record<string, string>>({});

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setError('');
    setWrong({});
    if (password !== repeated) {
      setWrong({ repeated: 'The two passwords are not the same.' });
      return;
    }
    setBusy(true);
    try {
      await setUp(code.trim(), name.trim(), password);
    } catch (problem) {
      setBusy(false);
      refused(problem);
    }
  }

  function refused(problem: unknown): void {
    if (!(problem instanceof Problem)) setError(wordsOf(problem));
    else if (problem.status === 409) void start();
    else if (problem.field) setWrong({ [problem.field]: problem.words });
    else setError(problem.words);
  }

  return (
    <Gate
      title="Make this device yours"
      lead="Nobody owns it yet. The setup code proves that you can reach the device itself; after that, your name and password open this console."
    >
      <form class="stack" onSubmit={(event) => void submit(event)}>
        {error && <Notice mood="bad">{error}</Notice>}
        <TextField
          label="Setup code"
          value={code}
          onValue={setCode}
          error={wrong.code}
          autocomplete="one-time-code"
          required
          autofocus
          mono
        />
        <details class="help">
          <summary>Where do I find the code?</summary>
          <ul>
            <li>
              Started in a terminal? The agent printed the code there, right below the console’s
              address.
            </li>
            <li>
              Running as a service? The code is in the file <code>setup-code</code> in the agent’s
              state folder (<code>./state</code> unless configured otherwise). Only root and the
              agent’s own user can read it:
              <pre>
                <code>sudo cat state/setup-code</code>
              </pre>
            </li>
            <li>
              The code works for an hour. <code>periwinkle setup</code> on the device makes a new
              one, and so does starting the agent again.
            </li>
          </ul>
        </details>
        <TextField
          label="Your name"
          value={name}
          onValue={setName}
          error={wrong.name}
          hint="For signing in: short, such as “ada”."
          autocomplete="username"
          required
        />
        <TextField
          label="Password"
          type="password"
          value={password}
          onValue={setPassword}
          error={wrong.password}
          hint={`At least ${PASSWORD_LENGTH_MIN} characters. A few words in a row are strong and easy to keep in mind.`}
          autocomplete="new-password"
          minLength={PASSWORD_LENGTH_MIN}
          required
        />
        <TextField
          label="Password again"
          type="password"
          value={repeated}
          onValue={setRepeated}
          error={wrong.repeated}
          autocomplete="new-password"
          required
        />
        <Button type="submit" look="primary" busy={busy}>
          {busy ? 'Setting up' : 'Take ownership'}
        </Button>
      </form>
    </Gate>
  );
}
