// Walks the console as its owner does, from the first start on, and asserts what is seen.
//
//   node test/browser.mjs --url http://127.0.0.1:8080 --code XXXX [--shots DIR]   a real agent that was never set up
//   node test/browser.mjs --mock [--shots DIR]                                    the stand-in of dev/mock.mjs
//
// Against the stand-in it goes on to what a healthy agent does not show: changes from the cloud, a
// lost connection, a session that ends, the states of replication.

import assert from 'node:assert/strict';
import { startMock } from '../dev/mock.mjs';
import { assertAccessible, hasFlag, openBrowser, option } from './driver.mjs';
import { walkFailures } from './failures.mjs';

const OWNER = { name: 'ada', password: 'correct horse battery' };
const KEY = `console-test-${process.pid}`;
const ODD_VALUE = 'Grüße <b>&amp;</b> "12345678901234567890.123"';

const mock = hasFlag('mock') ? await startMock() : null;
const url = mock?.url ?? option('url');
const code = mock?.world.code ?? option('code');
assert.ok(url && code, 'use --mock, or --url and --code');

const browser = await openBrowser({ shots: option('shots') });
const { page } = browser;
try {
  await step('the first start asks for the setup code', firstStart);
  await step('the owner signs out and in again', signInAgain);
  await step('home shows live measurements', home);
  await step('a row is made, changed and deleted', data);
  await step('a reload keeps the session and the page', reload);
  await step('replication says what it does', replication);
  await step('uploads say how to switch them on, or what they do', uploads);
  await step('users are added, changed and removed', users);
  if (mock) await walkFailures({ browser, mock, step, owner: OWNER });
  browser.assertNoErrors();
  console.log('the console works');
} catch (error) {
  await browser.shot('failed');
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  mock?.close();
}

async function step(name, run) {
  const started = Date.now();
  await run();
  console.log(`ok  ${name} (${Date.now() - started} ms)`);
}

async function firstStart() {
  await page.goto(`${url}/replication`);
  await heading('Make this device yours');
  await assertAccessible(browser, 'setup');
  await browser.shot('01-setup');
  await fillSetup('NOT-THE-CODE', OWNER.password, 'something else');
  await page.getByText('The two passwords are not the same.').waitFor();
  await fillSetup('NOT-THE-CODE', OWNER.password, OWNER.password);
  const field = page.getByLabel('Setup code');
  await page.waitForFunction(
    (input) => input.getAttribute('aria-invalid') === 'true',
    await field.elementHandle(),
  );
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Make this device yours');
  await fillSetup(code, OWNER.password, OWNER.password);
  // The address that was asked for is shown once somebody is signed in.
  await heading('Replication');
}

async function fillSetup(setupCode, password, repeated) {
  await page.getByLabel('Setup code').fill(setupCode);
  await page.getByLabel('Your name').fill(OWNER.name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByLabel('Password again').fill(repeated);
  await page.getByRole('button', { name: 'Take ownership' }).click();
}

async function signInAgain() {
  await page.getByLabel(`Account of ${OWNER.name}`).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await heading('Sign in');
  await assertAccessible(browser, 'login');
  await browser.shot('02-login');
  await signIn(OWNER.name, 'not the password');
  await page.getByText('The name or the password is wrong.').waitFor();
  assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
  await signIn(OWNER.name, OWNER.password);
  await heading('Replication');
  await page.getByRole('link', { name: 'Home', exact: true }).click();
}

async function signIn(name, password) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

async function home() {
  assert.equal(new URL(page.url()).pathname, '/');
  await page.getByText('Live', { exact: true }).first().waitFor();
  const tile = page.locator('[data-tile="Processor"]');
  assert.match(await tile.innerText(), /^\d+(\.\d)?\s?%$/);
  for (const name of ['Memory', 'Network in', 'Load', 'Disk free']) {
    assert.match(await page.locator(`[data-tile="${name}"]`).innerText(), /^\d+(\.\d+)?/, name);
  }
  for (const name of ['Processor', 'Memory', 'Network', 'Load', 'Disk']) {
    await page.getByRole('heading', { name, level: 3, exact: true }).waitFor();
  }
  await page.locator('.chart canvas').first().waitFor();
  // A live sample arrives: the picture of the processor's last minute changes by itself.
  const line = page.locator('.tile', { has: tile }).locator('.spark-line');
  const before = await line.getAttribute('d');
  await page.waitForFunction(({ path, old }) => path.getAttribute('d') !== old, {
    path: await line.elementHandle(),
    old: before,
  });
  await page.getByRole('heading', { name: 'Services' }).waitFor();
  await page.locator('.services li').first().waitFor();
  await assertAccessible(browser, 'home');
  await browser.shot('03-home');
}

async function data() {
  await page.getByRole('link', { name: 'Data', exact: true }).click();
  await page
    .getByRole('navigation', { name: 'Models' })
    .getByRole('link', { name: /^Setting/ })
    .click();
  await heading('Setting');
  await page.getByRole('button', { name: 'New row' }).click();
  const drawer = page.getByRole('dialog');
  await drawer.getByRole('button', { name: 'Create' }).click();
  assert.equal((await drawer.getByText('This is needed.').count()) > 0, true);
  await assertAccessible(browser, 'a new row');
  await browser.shot('04-new-row');
  await drawer.getByLabel(/^id/).fill(KEY);
  await drawer.getByLabel(/^value/).fill(ODD_VALUE);
  await drawer.getByRole('button', { name: 'Create' }).click();
  await drawer.waitFor({ state: 'detached' });

  // The row comes by the live stream, with its origin.
  const row = page.getByRole('row', { name: new RegExp(KEY) });
  await row.waitFor();
  await row.getByText('this device').waitFor();
  assert.equal(await row.getByRole('cell').first().innerText(), ODD_VALUE);
  await browser.shot('05-rows');

  await row.getByRole('link', { name: KEY }).click();
  await drawer.getByLabel(/^value/).waitFor();
  assert.equal(await drawer.getByLabel(/^value/).inputValue(), ODD_VALUE);
  assert.equal(await drawer.getByRole('button', { name: 'Save' }).isDisabled(), true);
  await drawer.getByLabel(/^value/).fill('2nd');
  await drawer.getByLabel(/^note/).fill('by the browser test');
  await drawer.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  await assertAccessible(browser, 'a row');
  await browser.shot('06-row');
  assert.deepEqual(await readBack(), { value: '2nd', note: 'by the browser test' });

  await drawer.getByRole('button', { name: 'Delete' }).click();
  const sure = page.getByRole('dialog', { name: 'Delete this row?' });
  await sure.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('The row is deleted.').waitFor();
  await row.waitFor({ state: 'detached' });
  await assertAccessible(browser, 'rows');
}

/** What the agent holds, asked past the page. */
async function readBack() {
  const answer = await page.request.get(`${url}/api/v1/data/Setting/${KEY}`);
  assert.equal(answer.status(), 200);
  const { value, note } = await answer.json();
  return { value, note };
}

async function reload() {
  assert.equal(new URL(page.url()).pathname, '/data/Setting');
  await page.reload();
  await heading('Setting');
}

async function replication() {
  await page.getByRole('link', { name: 'Replication', exact: true }).click();
  await heading('Replication');
  const state = (await (await page.request.get(`${url}/api/v1/sync`)).json()).state;
  const title = page.locator('.sync-words h2');
  if (state === 'off') {
    assert.match(await title.innerText(), /^Replication is off/);
    await page.getByRole('heading', { name: 'Switch it on' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Try now' }).count(), 0);
  } else {
    await page.locator('[data-counter="Waiting"]').waitFor();
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.getByText('Trying now.').waitFor();
  }
  await assertAccessible(browser, 'replication');
  await browser.shot('07-replication');
}

async function uploads() {
  await page.getByRole('link', { name: 'Uploads', exact: true }).click();
  await heading('Uploads');
  const { enabled } = await (await page.request.get(`${url}/api/v1/uploads`)).json();
  if (enabled) {
    await page.locator('[data-counter="Uploaded"]').waitFor();
  } else {
    await page.getByRole('heading', { name: 'Uploads are off' }).waitFor();
    await page.getByRole('heading', { name: 'Switch them on' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Try now' }).count(), 0);
  }
  await assertAccessible(browser, 'uploads');
  await browser.shot('07-uploads');
}

async function users() {
  await page.getByRole('link', { name: 'Users', exact: true }).click();
  await heading('Users');
  await page.getByRole('button', { name: 'Add a user' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a user' });
  await assertAccessible(browser, 'adding a user');
  await dialog.getByLabel('Name', { exact: true }).fill('grace');
  await dialog.getByLabel('Password', { exact: true }).fill('a long enough password');
  await dialog.getByRole('radio', { name: /^editor/ }).check();
  await dialog.getByRole('button', { name: 'Add' }).click();
  await page.getByText('grace can sign in now.').waitFor();
  assert.equal(await page.getByLabel('Role of grace').inputValue(), 'editor');
  assert.equal(await page.getByLabel(`Role of ${OWNER.name}`).isDisabled(), true);

  await page.getByLabel('Role of grace').selectOption('viewer');
  await page.getByText('grace is now viewer.').waitFor();
  await assertAccessible(browser, 'users');
  await browser.shot('08-users');

  await page.getByRole('button', { name: 'Remove grace' }).click();
  await page
    .getByRole('dialog', { name: 'Remove grace?' })
    .getByRole('button', { name: 'Remove' })
    .click();
  await page.getByText('grace is removed.').waitFor();
  await page.getByLabel('Role of grace').waitFor({ state: 'detached' });
}

async function heading(name) {
  await page.getByRole('heading', { name, level: 1, exact: true }).waitFor();
}
