// Says that the connection is lost, but not for a blink that mends itself.

import { useEffect, useState } from 'preact/hooks';
import { link } from '../state/device';
import { Icon } from './icons';

const PATIENCE_MS = 2_000;

export function LinkBanner() {
  const broken = link.value !== 'live';
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!broken) {
      setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [broken]);
  return (
    <div role="status" aria-live="polite">
      {shown && (
        <p class="banner">
          <Icon name="alert" />
          The connection to the device is lost. What you see is the last known state; the page
          reconnects by itself.
        </p>
      )}
    </div>
  );
}
