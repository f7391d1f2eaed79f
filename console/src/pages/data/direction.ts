import type { Model } from '../../api/types';

/** Where the rows of a model travel, for people. */
export const DIRECTION: Record<Model['sync'], { short: string; words: string }> = {
  up: { short: 'to the cloud', words: 'Rows made here are sent to the cloud.' },
  down: {
    short: 'from the cloud',
    words: 'Rows come from the cloud and can only be changed there.',
  },
  both: {
    short: 'both ways',
    words: 'Rows can be changed here and in the cloud; both sides converge.',
  },
  none: { short: 'stays here', words: 'These rows never leave this device.' },
};
