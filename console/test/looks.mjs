// Takes a picture of every page in light and dark, on a desk, a phone and the narrowest phone, and
// checks each for accessibility and for anything wider than the screen. For looking at:
//
//   node test/looks.mjs --shots DIR [--full]

import assert from 'node:assert/strict';
import { startMock } from '../dev/mock.mjs';
import { assertAccessible, DESKTOP, hasFlag, openBrowser, option, PHONE } from './driver.mjs';

const OWNER = { name: 'ada', password: 'correct horse battery' };
const SIZES = { desk: DESKTOP, phone: PHONE, narrow: { width: 360, height: 640 } };
const MINUTE_MS = 60_000;

const SYNC = {
  state: 'waiting',
  queued_rows: 37,
  queued_bytes: 9_120,
  sent: 4_812,
  received: 37,
  conflicts: 2,
  next_attempt_ms: Date.now() + 20 * MINUTE_MS,
  last_exchange_ms: Date.now() - 3 * MINUTE_MS,
  parked: [
    {
      model: 'Setting',
      key: ['dev#greenhouse-7f3a#rw', 'Setting#irrigation.start'],
      reason: 'The item is larger than 400 KB.',
    },
  ],
  reason: {
    kind: 'offline',
    text: 'The table cannot be reached.',
    hint: 'Check the network of the device. Nothing is lost; the next attempt comes by itself.',
  },
  last_error: {
    at_ms: Date.now() - 8_000,
    kind: 'offline',
    text: 'Connection refused by dynamodb.eu-central-1.amazonaws.com',
  },
};

const upload = (more) => ({
  id: more.key,
  state: 'waiting',
  bucket: 'pumps-7',
  file: `/var/spool/camera/${more.key.split('/').at(-1)}`,
  bytes: 4_812_345,
  sent: 0,
  attempts: 0,
  created_ms: Date.now() - 12 * MINUTE_MS,
  ended_ms: null,
  error: null,
  refused: false,
  lacks_credentials: false,
  ...more,
});

const UPLOADS = {
  enabled: true,
  bucket: 'pumps-7',
  region: 'eu-central-1',
  queued_rows: 64,
  queued_bytes: 31_457_280,
  sending: 1,
  credentials_error: null,
  done: 1_204,
  done_bytes: 5_120_000_000,
  aborted: 1,
  lost: 2,
  expired: 0,
  refused: 0,
  attempts_failed: 17,
  uploads: [
    upload({
      key: 'greenhouse-7f3a/2026-11-22/north/video-of-a-rather-long-name-103000.mp4',
      state: 'sending',
      bytes: 734_003_200,
      sent: 291_504_128,
    }),
    upload({
      key: 'greenhouse-7f3a/report.json',
      file: null,
      bytes: 812,
      attempts: 3,
      error: 'pumps-7.s3.eu-central-1.amazonaws.com cannot be connected to: no route to host',
    }),
    upload({
      key: 'other/settings.json',
      bytes: 96,
      attempts: 1,
      refused: true,
      error: 'S3 refused it: AccessDenied: Access Denied; see the policy of the device',
    }),
    upload({ key: 'greenhouse-7f3a/2026-11-22/north/103100.jpg' }),
    upload({
      key: 'greenhouse-7f3a/2026-11-22/north/102900.jpg',
      state: 'done',
      ended_ms: Date.now() - 2 * MINUTE_MS,
    }),
    upload({
      key: 'greenhouse-7f3a/2026-11-22/south/102800.jpg',
      state: 'changed',
      ended_ms: Date.now() - 3 * MINUTE_MS,
      error: 'the file was changed since it was taken',
    }),
  ],
};

const PAGES = {
  home: ['/', (page) => page.locator('.chart canvas').nth(5).waitFor()],
  rows: ['/data/Setting', (page) => page.getByRole('row', { name: /alarm/ }).waitFor()],
  metrics: ['/data/Metric', (page) => page.getByText('Page 1', { exact: true }).waitFor()],
  row: ['/data/Valve/north-1', (page) => page.getByLabel(/^zones/).waitFor()],
  create: ['/data/Valve?new', (page) => page.getByRole('button', { name: 'Create' }).waitFor()],
  sync: ['/replication', (page) => page.getByText('set aside').waitFor()],
  off: ['/replication', (page) => page.getByText('Switch it on').waitFor(), null],
  uploads: ['/uploads', (page) => page.getByText('Of late').waitFor()],
  uploadsOff: ['/uploads', (page) => page.getByText('Switch them on').waitFor(), SYNC, null],
  account: [
    '/users',
    async (page) => {
      await page.getByLabel('Account of ada').click();
      await page.getByRole('button', { name: 'Sign out' }).waitFor();
    },
  ],
  users: ['/users', (page) => page.getByLabel('Role of grace').waitFor()],
};

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(SIZES)) await look(colorScheme, size, viewport);
}

async function look(colorScheme, size, viewport) {
  const mock = await startMock({ owner: OWNER });
  mock.world.users.set('grace', { role: 'editor', password: 'x' });
  mock.world.users.set('a-name-that-is-rather-long-for-a-phone', { role: 'viewer', password: 'x' });
  const browser = await openBrowser({ shots: option('shots'), colorScheme, viewport });
  const { page } = browser;
  try {
    await page.goto(mock.url);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await check('login');
    await page.getByLabel('Name', { exact: true }).fill(OWNER.name);
    await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Greenhouse north' }).waitFor();
    for (const [name, [path, ready, sync = SYNC, uploads = UPLOADS]] of Object.entries(PAGES)) {
      await page.request.post(`${mock.url}/mock/sync`, { data: sync });
      await page.request.post(`${mock.url}/mock/uploads`, { data: uploads ?? { enabled: false } });
      await page.goto(mock.url + path);
      await ready(page);
      await check(name);
    }
    browser.assertNoErrors();
  } finally {
    await browser.close();
    mock.close();
  }

  async function check(name) {
    const label = `${name}-${size}-${colorScheme}`;
    await assertAccessible(browser, label);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${label} is ${overflow} px too wide`);
    if (hasFlag('full'))
      await page.setViewportSize({
        ...viewport,
        height: await page.evaluate(() => document.documentElement.scrollHeight),
      });
    await browser.shot(label);
    if (hasFlag('full')) await page.setViewportSize(viewport);
    console.log(`ok  ${label}`);
  }
}
