// Who may use this console. Only owners see this page; the agent refuses everybody else anyway.

import { useState } from 'preact/hooks';
import { call, Problem, wordsOf } from '../api/client';
import type { Role, User } from '../api/types';
import { PASSWORD_LENGTH_MIN } from '../limits';
import { isOwner, session } from '../state/session';
import { Button, Empty, Failure, IconButton, Loading, Notice, Pill, TextField } from '../ui/basics';
import { Confirm, Dialog } from '../ui/dialog';
import { useLoad } from '../ui/load';
import { toast } from '../ui/toasts';

const ROLES: { role: Role; words: string }[] = [
  { role: 'viewer', words: 'sees everything, changes nothing' },
  { role: 'editor', words: 'may also change data' },
  { role: 'owner', words: 'may also manage users' },
];

export function UsersPage() {
  if (!isOwner.value) {
    return (
      <Empty icon="users" title="For owners only">
        <p>
          Ask an owner of this device to add or change users. Your own password is in the menu at
          the top right.
        </p>
      </Empty>
    );
  }
  return <Users />;
}

type Asked = { what: 'add' } | { what: 'password' | 'remove'; user: User } | null;

function Users() {
  const users = useLoad('users', () =>
    call<{ users: User[] }>('GET', 'users').then((answer) => answer.users),
  );
  const [asked, setAsked] = useState<Asked>(null);
  const close = () => setAsked(null);
  const done = (words: string) => {
    toast(words);
    users.reload();
  };
  return (
    <div class="page users">
      <header class="section-head">
        <div>
          <h1>Users</h1>
          <p class="muted">They sign in on this device only; there are no accounts elsewhere.</p>
        </div>
        <Button look="primary" icon="plus" onClick={() => setAsked({ what: 'add' })}>
          Add a user
        </Button>
      </header>
      {users.error && <Failure what="The users" words={users.error} retry={users.reload} />}
      {!users.value && !users.error && <Loading what="the users" />}
      {users.value && (
        <ul class="card user-list">
          {users.value.map((user) => (
            <UserRow key={user.name} user={user} onAsk={setAsked} onDone={done} />
          ))}
        </ul>
      )}
      <dl class="card roles">
        {ROLES.map(({ role, words }) => (
          <div key={role}>
            <dt>{role}</dt>
            <dd class="muted">{words}</dd>
          </div>
        ))}
      </dl>
      {asked?.what === 'add' && <AddUser onClose={close} onDone={done} />}
      {asked?.what === 'password' && (
        <SetPassword user={asked.user} onClose={close} onDone={done} />
      )}
      {asked?.what === 'remove' && <RemoveUser user={asked.user} onClose={close} onDone={done} />}
    </div>
  );
}

function UserRow({
  user,
  onAsk,
  onDone,
}: {
  user: User;
  onAsk: (asked: Asked) => void;
  onDone: (words: string) => void;
}) {
  const self = user.name === session.value?.user;
  async function change(role: Role): Promise<void> {
    try {
      await call('PATCH', userPath(user), { role });
      onDone(`${user.name} is now ${role}.`);
    } catch (problem) {
      toast(wordsOf(problem), 'bad');
      onDone('The role stays as it was.');
    }
  }
  return (
    <li>
      <span class="avatar" aria-hidden="true">
        {user.name.slice(0, 1).toUpperCase()}
      </span>
      <span class="user-name">
        <strong>{user.name}</strong>
        {self && <Pill mood="accent">you</Pill>}
      </span>
      <select
        aria-label={`Role of ${user.name}`}
        value={user.role}
        disabled={self}
        onChange={(event) => void change(event.currentTarget.value as Role)}
      >
        {ROLES.map(({ role }) => (
          <option key={role} value={role}>
            {role}
          </option>
        ))}
      </select>
      <IconButton
        icon="key"
        label={`Set a new password for ${user.name}`}
        onClick={() => onAsk({ what: 'password', user })}
      />
      <IconButton
        icon="trash"
        label={`Remove ${user.name}`}
        disabled={self}
        onClick={() => onAsk({ what: 'remove', user })}
      />
    </li>
  );
}

interface AskedProps {
  onClose: () => void;
  onDone: (words: string) => void;
}

function AddUser({ onClose, onDone }: AskedProps) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const { busy, error, wrong, submit } = useSubmit(async () => {
    await call('POST', 'users', { name: name.trim(), password, role });
    onDone(`${name.trim()} can sign in now.`);
    onClose();
  });
  return (
    <Dialog title="Add a user" onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        {error && <Notice mood="bad">{error}</Notice>}
        <TextField
          label="Name"
          value={name}
          onValue={setName}
          error={wrong('name')}
          autocomplete="off"
          required
          autofocus
        />
        <NewPassword value={password} onValue={setPassword} error={wrong('password')} />
        <fieldset class="choices">
          <legend>Role</legend>
          {ROLES.map((choice) => (
            <label key={choice.role}>
              <input
                type="radio"
                name="role"
                checked={role === choice.role}
                onChange={() => setRole(choice.role)}
              />
              <span>
                <strong>{choice.role}</strong>
                <span class="muted">{choice.words}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={busy}>
            Add
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function SetPassword({ user, onClose, onDone }: AskedProps & { user: User }) {
  const [password, setPassword] = useState('');
  const { busy, error, wrong, submit } = useSubmit(async () => {
    await call('PATCH', userPath(user), { password });
    onDone(`${user.name} has a new password.`);
    onClose();
  });
  return (
    <Dialog title={`New password for ${user.name}`} onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        {error && <Notice mood="bad">{error}</Notice>}
        <NewPassword value={password} onValue={setPassword} error={wrong('password')} autofocus />
        <div class="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" busy={busy}>
            Set password
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function RemoveUser({ user, onClose, onDone }: AskedProps & { user: User }) {
  return (
    <Confirm
      title={`Remove ${user.name}?`}
      action="Remove"
      onClose={onClose}
      onConfirm={async () => {
        await call('DELETE', userPath(user));
        onDone(`${user.name} is removed.`);
      }}
    >
      <p>They are signed out everywhere and cannot sign in again.</p>
    </Confirm>
  );
}

interface NewPasswordProps {
  value: string;
  onValue: (value: string) => void;
  error: string | undefined;
  autofocus?: boolean;
}

function NewPassword(props: NewPasswordProps) {
  return (
    <TextField
      {...props}
      label="Password"
      type="password"
      autocomplete="new-password"
      minLength={PASSWORD_LENGTH_MIN}
      hint={`At least ${PASSWORD_LENGTH_MIN} characters. They can change it themselves.`}
      required
    />
  );
}

function userPath({ name }: User): string {
  return `users/${encodeURIComponent(name)}`;
}

function useSubmit(send: () => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const field = problem instanceof Problem ? problem.field : null;
  async function run(): Promise<void> {
    setBusy(true);
    setProblem(null);
    try {
      await send();
    } catch (refusal) {
      setProblem(refusal);
      setBusy(false);
    }
  }
  return {
    busy,
    error: problem !== null && field === null ? wordsOf(problem) : '',
    wrong: (name: string) => (field === name ? wordsOf(problem) : undefined),
    submit: (event: Event) => {
      event.preventDefault();
      void run();
    },
  };
}
