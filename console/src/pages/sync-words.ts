// The states of replication in plain words; used by the home page and the replication page.

import type { SyncStatus } from '../api/types';
import { several } from '../format';

export type SyncMood = 'quiet' | 'good' | 'busy' | 'bad';

export function syncMood(state: SyncStatus): SyncMood {
  switch (state.state) {
    case 'off':
      return 'quiet';
    case 'idle':
    case 'sending':
    case 'starting':
      return state.parked.length > 0 || state.reason ? 'busy' : 'good';
    case 'waiting':
    case 'paused':
      return 'busy';
    case 'failed':
      return 'bad';
  }
}

export function syncTitle(state: SyncStatus): string {
  switch (state.state) {
    case 'off':
      return 'Off';
    case 'starting':
      return 'Starting';
    case 'idle':
      return state.reason ? 'Getting over a problem' : 'In step with the cloud';
    case 'sending':
      return 'Sending changes';
    case 'waiting':
      return 'Waiting to try again';
    case 'paused':
      return 'Paused';
    case 'failed':
      return 'Stopped by a problem';
  }
}

export function syncExplanation(state: SyncStatus): string {
  const queued = several(state.queued_rows, 'change');
  switch (state.state) {
    case 'off':
      return 'This device keeps its data to itself. Nothing leaves it.';
    case 'starting':
      return 'The agent is getting its credentials and looking at the table.';
    case 'idle':
      if (state.reason) return `The last exchange went wrong. ${capital(queued)} kept safe here.`;
      return state.queued_rows === 0
        ? 'Every change made here has reached the table, and changes made in the cloud arrive here.'
        : `${queued} made a moment ago will be sent shortly.`;
    case 'sending':
      return `${queued} on the way to the table.`;
    case 'waiting':
      return `The last attempt did not get through. ${capital(queued)} kept safe on this device until the next one.`;
    case 'paused':
      return `Sending is paused. ${capital(queued)} kept safe on this device.`;
    case 'failed':
      return `This does not mend itself. ${capital(queued)} kept safe on this device meanwhile.`;
  }
}

function capital(words: string): string {
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
