// The states of uploads in plain words.

import type { Upload, UploadState, Uploads } from '../api/types';
import { several } from '../format';

export type UploadMood = 'quiet' | 'good' | 'busy' | 'bad' | 'accent';

const ENDED: Record<Exclude<UploadState, 'waiting' | 'sending'>, [UploadMood, string]> = {
  done: ['good', 'Uploaded'],
  aborted: ['quiet', 'Removed'],
  changed: ['busy', 'File changed'],
  gone: ['busy', 'File gone'],
  expired: ['busy', 'Too old'],
};

export function isQueued({ state }: Upload): boolean {
  return state === 'waiting' || state === 'sending';
}

/** How one upload is, and how much somebody has to care. */
export function uploadState(upload: Upload): [UploadMood, string] {
  const { state, refused, attempts } = upload;
  if (state === 'sending') return attempts > 0 ? ['busy', 'Trying again'] : ['accent', 'Sending'];
  if (state !== 'waiting') return ENDED[state] ?? ['quiet', state];
  if (upload.lacks_credentials) return ['bad', 'No credentials'];
  if (refused) return ['bad', 'Refused'];
  return attempts > 0 ? ['busy', 'Will try again'] : ['quiet', 'Waiting'];
}

/** The queue as a whole: a title and a sentence. */
export function queueWords(queue: Uploads): [string, string] {
  const waiting = several(queue.queued_rows, 'upload');
  const queued = queue.uploads.filter(isQueued);
  const kept = `${waiting} kept safe on this device meanwhile.`;
  if (queue.credentials_error)
    return ['Waiting for credentials', `${queue.credentials_error}. ${kept}`];
  if (queued.some(({ refused }) => refused))
    return ['Somebody has to set something right', `S3 refuses what is sent. ${kept}`];
  if (queue.sending > 0)
    return ['Sending', `${waiting} to go, ${queue.sending} of them on the way now.`];
  if (queue.queued_rows === 0)
    return ['Nothing waits', 'Everything that was taken is in the bucket, or has ended.'];
  if (queued.some(({ attempts }) => attempts > 0))
    return ['Waiting to try again', `The last attempts did not get through. ${kept}`];
  return ['About to send', `${waiting} will be sent shortly.`];
}

/** How far it has come, where that is worth a bar. */
export function sentShare({ state, sent, bytes }: Upload): number | null {
  return state === 'sending' && bytes > 0 ? Math.min(1, sent / bytes) : null;
}
