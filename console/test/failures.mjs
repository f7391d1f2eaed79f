// What a healthy agent does not show, played by the stand-in.

import assert from 'node:assert/strict';
import { assertAccessible } from './driver.mjs';

export async function walkFailures({ browser, mock, step, owner }) {
  const { page } = browser;
  const stage = (scene, data) => page.request.post(`${mock.url}/mock/${scene}`, { data });
  const follow = (name) => page.getByRole('link', { name, exact: true }).click();

  await step('a change from the cloud shows at once, with its origin', async () => {
    await page.goto(`${mock.url}/data/Setting`);
    const row = page.getByRole('row', { name: /lamp\.lux\.min/ });
    await row.waitFor();
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length > 2);
    await streamOpen(mock);
    await stage('change', { model: 'Setting', item: { id: 'lamp.lux.min', value: '9100' } });
    await row.getByText('9100').waitFor();
    await row.getByText('cloud', { exact: true }).waitFor();
    await stage('change', { model: 'Setting', item: { id: 'lamp.new', value: '1' } });
    await page.getByRole('row', { name: /lamp\.new/ }).waitFor();
    const order = await page.locator('tbody th a').allInnerTexts();
    assert.deepEqual(order, [...order].sort());
    await stage('remove', { model: 'Setting', key: ['lamp.new'] });
    await page.getByRole('row', { name: /lamp\.new/ }).waitFor({ state: 'detached' });
    // Removed and made again at once: the row stays.
    await stage('change', { model: 'Setting', item: { id: 'lamp.again', value: '1' } });
    await stage('remove', { model: 'Setting', key: ['lamp.again'] });
    await stage('change', { model: 'Setting', item: { id: 'lamp.again', value: '2' } });
    await page.getByRole('row', { name: /lamp\.again.* 2/ }).waitFor();
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.getByRole('row', { name: /lamp\.again.* 2/ }).waitFor();
    await browser.shot('20-cloud-change');
  });

  await step('an edit in progress survives a change of the same row', async () => {
    await page.getByRole('link', { name: 'irrigation.start' }).click();
    const drawer = page.getByRole('dialog');
    await drawer.getByLabel(/^note/).fill('my own words');
    await stage('change', {
      model: 'Setting',
      item: { id: 'irrigation.start', value: '07:00', note: 'Local time' },
    });
    await drawer.getByText('Just changed by the cloud.', { exact: false }).waitFor();
    assert.equal(await drawer.getByLabel(/^value/).inputValue(), '07:00');
    assert.equal(await drawer.getByLabel(/^note/).inputValue(), 'my own words');
    await drawer.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    const { value, note } = await (
      await page.request.get(`${mock.url}/api/v1/data/Setting/irrigation.start`)
    ).json();
    assert.deepEqual({ value, note }, { value: '07:00', note: 'my own words' });
    await page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'detached' });
  });

  await step('every kind of field can be edited', async () => {
    await page.goto(`${mock.url}/data/Valve/north-2`);
    const drawer = page.getByRole('dialog');
    await drawer
      .getByLabel(/^open \S*boolean|^open/)
      .first()
      .selectOption('true');
    await drawer.getByLabel(/^flow/).fill('12345678901234567890.5');
    await drawer.getByLabel(/^zones/).fill('["mint"]');
    await drawer.getByLabel(/^plan/).fill('[1]');
    await drawer.getByRole('button', { name: 'Save' }).click();
    await drawer.getByText('This should be an object', { exact: false }).waitFor();
    await drawer.getByLabel(/^plan/).fill('{"minutes": 3}');
    await browser.shot('21-fields');
    const sent = page.waitForRequest((request) => request.method() === 'PATCH');
    await drawer.getByRole('button', { name: 'Save' }).click();
    assert.equal(
      (await sent).postData(),
      '{"open":true,"flow":12345678901234567890.5,"zones":["mint"],"plan":{"minutes":3}}',
    );
    await page.getByText('Saved.').waitFor();
  });

  await step('rows are paged and filtered', async () => {
    await page.goto(`${mock.url}/data/Metric`);
    await page.getByText('Page 1', { exact: true }).waitFor();
    assert.equal(await page.locator('tbody tr').count(), 50);
    const newest = await page.locator('tbody th a').first().innerText();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('Page 2', { exact: true }).waitFor();
    await page.waitForFunction(
      (old) => (document.querySelector('tbody th a')?.textContent ?? old) < old,
      newest,
    );
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('Page 3', { exact: true }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 30);
    assert.equal(await page.getByRole('button', { name: 'Next' }).isDisabled(), true);
    await page.getByLabel('month starts with').fill('1999');
    await page.getByRole('heading', { name: 'Nothing starts like this' }).waitFor();
    await assertAccessible(browser, 'an empty list');
    await browser.shot('22-no-rows');
  });

  await step('rows that come from the cloud cannot be edited here', async () => {
    await page.goto(`${mock.url}/data/Forecast`);
    await page.getByRole('heading', { name: 'No Forecast rows yet' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'New row' }).count(), 0);
  });

  await step('uploads are shown as they go, tried again, and removed', async () => {
    await page.goto(`${mock.url}/uploads`);
    await page.getByRole('heading', { name: 'Uploads are off' }).waitFor();
    await stage('uploads', queueOf([]));
    await page.getByRole('heading', { name: 'Nothing waits' }).first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Try now' }).count(), 0);
    await assertAccessible(browser, 'an empty queue');

    // Each is read without anybody doing anything.
    await stage('uploads', queueOf([{ state: 'sending', sent: 250, attempts: 0 }]));
    const bar = page.getByRole('progressbar', { name: 'Sent of pump/a.bin' });
    await bar.waitFor();
    assert.equal(await bar.getAttribute('value'), '0.25');
    await stage('uploads', queueOf([{ state: 'sending', sent: 750, attempts: 0 }]));
    await page.waitForFunction(() => document.querySelector('progress')?.value === 0.75);
    await assertAccessible(browser, 'an upload on its way');
    const error = 'S3 refused it: AccessDenied';
    await stage('uploads', queueOf([{ state: 'waiting', attempts: 2, refused: true, error }]));
    await page.getByRole('heading', { name: 'Somebody has to set something right' }).waitFor();
    await page.getByText(error).waitFor();
    assert.equal(await bar.count(), 0);
    await assertAccessible(browser, 'an upload that is refused');
    await browser.shot('23-uploads');

    const before = mock.world.retries ?? 0;
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText('Trying now.').waitFor();
    assert.equal(mock.world.retries, before + 1);
    mock.world.retries = before;
    await page.getByRole('button', { name: 'Remove pump/a.bin from the queue' }).click();
    const sure = page.getByRole('dialog', { name: 'Remove this upload?' });
    await assertAccessible(browser, 'removing an upload');
    await sure.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('The upload is removed.').waitFor();
    await page.getByText('pump/a.bin').waitFor({ state: 'detached' });
    assert.deepEqual(mock.world.uploads.uploads, []);

    await stage('uploads', null);
    await page.getByText('This agent runs without them.').waitFor();
  });

  await step('each state of replication is put in words', async () => {
    await page.goto(`${mock.url}/replication`);
    await page.locator('.sync-words').waitFor();
    await streamOpen(mock);
    for (const [state, title, more] of REPLICATION_STATES) {
      await stage('sync', { state, ...more });
      await page.locator('.sync-words h2', { hasText: title }).waitFor();
      await assertAccessible(browser, `replication ${state}`);
      await browser.shot(`23-replication-${state}`);
    }
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText('Trying now.').waitFor();
    assert.equal(mock.world.retries, 1);
  });

  await step('a service in trouble shows on the home page', async () => {
    await follow('Home');
    await page.locator('.services li').first().waitFor();
    await stage('services', {
      name: 'sync',
      state: 'backoff',
      restarts: 3,
      error: 'The table periwinkle does not exist.',
    });
    await page.getByText('1 service in trouble: sync.').waitFor();
    await browser.shot('24-service');
    await stage('services', { name: 'sync', state: 'running', error: null });
    await stage('sync', null);
    await page.getByText('All is well', { exact: false }).waitFor();
  });

  await step('a lost connection is said, and mends itself', async () => {
    await stage('offline', { ms: 5_000 });
    await page.getByText('The connection to the device is lost.', { exact: false }).waitFor();
    await assertAccessible(browser, 'a lost connection');
    await browser.shot('25-lost');
    await page
      .getByText('The connection to the device is lost.', { exact: false })
      .waitFor({ state: 'detached' });
    await page.locator('.pill', { hasText: /^Live$/ }).waitFor();
  });

  await step('a device that does not answer at the start is waited for', async () => {
    await stage('offline', { ms: 4_000 });
    // The page itself comes from the browser's point of view before the device went away.
    await page.evaluate(() => history.replaceState(null, '', '/'));
    mock.world.offlineUntil = 0;
    await page.route('**/api/v1/session', (route) => route.abort(), { times: 1 });
    await page.reload();
    await page.getByRole('heading', { name: 'The device does not answer' }).waitFor();
    await browser.shot('26-unreachable');
    await page.getByRole('heading', { name: 'Greenhouse north' }).waitFor();
  });

  await step('a session that ends leads to the login and back to the same page', async () => {
    await page.goto(`${mock.url}/data/Setting`);
    await page.getByRole('row', { name: /alarm\.phone/ }).waitFor();
    await streamOpen(mock);
    await stage('expire');
    await page.getByText('Your session has ended.', { exact: false }).waitFor();
    await browser.shot('27-expired');
    await page.getByLabel('Name', { exact: true }).fill(owner.name);
    await page.getByLabel('Password', { exact: true }).fill(owner.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('row', { name: /alarm\.phone/ }).waitFor();
  });

  await step('a new token from another tab is picked up', async () => {
    for (const who of mock.world.sessions.values()) who.xsrf = 'changed-by-another-tab';
    await page.getByLabel(`Account of ${owner.name}`).click();
    await page.getByRole('button', { name: 'Change password' }).click();
    const dialog = page.getByRole('dialog', { name: 'Change your password' });
    await assertAccessible(browser, 'own password');
    await dialog.getByLabel('Present password', { exact: true }).fill('wrong');
    await dialog.getByLabel('New password', { exact: true }).fill('quite another password');
    await dialog.getByRole('button', { name: 'Change password' }).click();
    await dialog.getByText('The present password is wrong.').waitFor();
    await dialog.getByLabel('Present password', { exact: true }).fill(owner.password);
    await dialog.getByRole('button', { name: 'Change password' }).click();
    await page.getByText('Your password is changed.').waitFor();
    assert.equal(mock.world.users.get(owner.name).password, 'quite another password');
  });

  await step('a viewer looks and cannot touch', async () => {
    for (const who of mock.world.sessions.values()) who.role = 'viewer';
    await page.goto(`${mock.url}/data/Valve/north-1`);
    const drawer = page.getByRole('dialog');
    await drawer.getByText('tomatoes', { exact: false }).waitFor();
    assert.equal(await drawer.getByRole('button', { name: 'Save' }).count(), 0);
    assert.equal(await page.getByRole('link', { name: 'Users', exact: true }).count(), 0);
    await assertAccessible(browser, 'a row as a viewer');
    await browser.shot('28-viewer');
    await page.goto(`${mock.url}/users`);
    await page.getByRole('heading', { name: 'For owners only' }).waitFor();
  });

  await step('an address that does not exist says so', async () => {
    await page.goto(`${mock.url}/nowhere`);
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
    await page.goto(`${mock.url}/data/Nothing`);
    await page.getByRole('heading', { name: 'There is no model “Nothing”' }).waitFor();
    await page.goto(`${mock.url}/data/Setting/not%20there`);
    await page.getByText('There is no such row.').waitFor();
  });
}

const MINUTE_MS = 60_000;

const REPLICATION_STATES = [
  ['starting', 'Starting', {}],
  [
    'idle',
    'In step with the cloud',
    { sent: 4812, received: 37, last_exchange_ms: Date.now() - 4_000 },
  ],
  [
    'sending',
    'Sending changes',
    {
      queued_rows: 241,
      queued_bytes: 51_200,
      in_flight: 8,
      sent: 4812,
      received: 37,
      last_exchange_ms: Date.now(),
    },
  ],
  [
    'waiting',
    'Waiting to try again',
    {
      queued_rows: 37,
      queued_bytes: 9_120,
      next_attempt_ms: Date.now() + 42_000,
      last_exchange_ms: Date.now() - 3 * MINUTE_MS,
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
    },
  ],
  [
    'failed',
    'Stopped by a problem',
    {
      queued_rows: 37,
      queued_bytes: 9_120,
      conflicts: 2,
      clock_offset_ms: 1_200_000,
      parked: [
        {
          model: 'Setting',
          key: ['dev#greenhouse-7f3a#rw', 'Setting#irrigation.start'],
          reason: 'The item is larger than 400 KB.',
        },
      ],
      reason: {
        kind: 'credentials',
        text: 'AWS refuses the secret key.',
        hint: 'Put the right AWS_SECRET_ACCESS_KEY into the agent’s environment, then press “Try now”.',
      },
      last_error: { at_ms: Date.now() - 8_000, kind: 'credentials', text: 'SignatureDoesNotMatch' },
    },
  ],
];

/** Until the page listens, a staged change would go unseen. */
async function streamOpen(mock) {
  const deadline = Date.now() + 10_000;
  while (mock.world.streams.size === 0) {
    assert.ok(Date.now() < deadline, 'the page opened no stream of events');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A queue of uploads under one key. */
function queueOf(uploads) {
  return {
    enabled: true,
    bucket: 'pumps-7',
    region: 'eu-central-1',
    queued_rows: uploads.length,
    queued_bytes: 0,
    sending: uploads.filter(({ state }) => state === 'sending').length,
    credentials_error: null,
    done: 3,
    done_bytes: 3000,
    aborted: 0,
    lost: 0,
    expired: 0,
    refused: 0,
    attempts_failed: 0,
    uploads: uploads.map((more, at) => ({
      id: `01J${at}`,
      bucket: 'pumps-7',
      key: 'pump/a.bin',
      file: '/data/a.bin',
      bytes: 1000,
      sent: 0,
      created_ms: Date.now() - 5000,
      ended_ms: null,
      error: null,
      refused: false,
      lacks_credentials: false,
      ...more,
    })),
  };
}
