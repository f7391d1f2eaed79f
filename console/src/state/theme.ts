// Light, dark, or as the system says. `theme-early.ts` applies the choice before the first paint.

import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'periwinkle-theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system.matches);
system.addEventListener('change', (event) => {
  systemDark.value = event.matches;
});

export const theme = signal<Theme>((document.documentElement.dataset.theme as Theme) || 'system');

export function isDark(): boolean {
  return theme.value === 'system' ? systemDark.value : theme.value === 'dark';
}

/** From what is seen now to its opposite; the system's own look is kept as "system". */
export function toggleTheme(): void {
  const wanted = isDark() ? 'light' : 'dark';
  theme.value = (wanted === 'dark') === systemDark.value ? 'system' : wanted;
}

effect(() => {
  const chosen = theme.value;
  if (chosen === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    if (chosen === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
});
