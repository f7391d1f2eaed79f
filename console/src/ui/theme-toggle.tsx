import { isDark, toggleTheme } from '../state/theme';
import { IconButton } from './basics';

export function ThemeToggle() {
  return isDark() ? (
    <IconButton icon="sun" label="Use the light theme" onClick={toggleTheme} />
  ) : (
    <IconButton icon="moon" label="Use the dark theme" onClick={toggleTheme} />
  );
}
