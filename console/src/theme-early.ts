// The theme somebody chose, set before the first paint. `state/theme.ts` owns the choice.
try {
  const chosen = localStorage.getItem('periwinkle-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; the system's preference then decides.
}
