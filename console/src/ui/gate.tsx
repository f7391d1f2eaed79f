// The quiet page around signing in: the flower, a title, one card.

import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { Logo } from './flower';
import { ThemeToggle } from './theme-toggle';

export function Gate({
  title,
  lead,
  children,
}: {
  title: string;
  lead?: ComponentChildren;
  children: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · Periwinkle`;
  }, [title]);
  return (
    <div class="gate">
      <header class="gate-top">
        <ThemeToggle />
      </header>
      <main class="gate-card">
        <Logo size={72} />
        <h1>{title}</h1>
        {lead && <p class="gate-lead">{lead}</p>}
        {children}
      </main>
      <footer class="gate-foot">
        Periwinkle runs on this device. What you type here stays on it.
      </footer>
    </div>
  );
}
