// The console starts here: it asks the device who is signed in and shows one of four faces. What
// only a signed-in person needs is a chunk of its own, so that the way in stays light.

import { type ComponentType, render } from 'preact';
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Login } from './pages/login';
import { Setup } from './pages/setup';
import { Gate } from './ui/gate';
import { Button } from './ui/basics';
import { face, start } from './state/session';
import './state/theme';

const Console = signal<ComponentType | null>(null);
const consoleMissing = signal(false);

function App() {
  switch (face.value) {
    case 'starting':
      return null;
    case 'unreachable':
      return <Unreachable />;
    case 'setup':
      return <Setup />;
    case 'login':
      return <Login />;
    case 'console':
      return <SignedIn />;
  }
}

function SignedIn() {
  useEffect(loadConsole, []);
  if (Console.value) return <Console.value />;
  if (!consoleMissing.value) return null;
  return (
    <Gate
      title="The console could not be loaded"
      lead="The connection broke off, or the agent was updated meanwhile."
    >
      <Button look="primary" icon="retry" onClick={() => location.reload()}>
        Load again
      </Button>
    </Gate>
  );
}

function loadConsole(): void {
  if (Console.value) return;
  import('./console').then(
    (chunk) => (Console.value = chunk.Console),
    () => (consoleMissing.value = true),
  );
}

function Unreachable() {
  return (
    <Gate
      title="The device does not answer"
      lead="Is it switched on and on the same network? This page asks again every few seconds and goes on by itself."
    >
      <p class="waiting-dots" role="status">
        <span class="visually-hidden">Trying to reach the device</span>
        <i />
        <i />
        <i />
      </p>
    </Gate>
  );
}

const root = document.getElementById('app');
if (root) render(<App />, root);
void start();
