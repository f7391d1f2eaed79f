// A headless Chromium for the tests: every page fails the test on an error in its console, such as
// a violation of the content security policy, and can be checked for accessibility.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
);
const WAIT_MS = 10_000;
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const DESKTOP = { width: 1280, height: 860 };
export const PHONE = { width: 390, height: 844 };

export async function openBrowser({
  shots = null,
  viewport = DESKTOP,
  colorScheme = 'light',
  locale = 'en-GB',
} = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'periwinkle-console-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: CHROMIUM_FLAGS,
    viewport,
    colorScheme,
    locale,
    timezoneId: 'Europe/Berlin',
    // Lets axe run inside the page; what the policy blocks is still reported as an error below.
    bypassCSP: false,
  });
  context.setDefaultTimeout(WAIT_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  const errors = [];
  page.on('console', (message) => {
    // Chromium reports every answer of 400 and above here; the tests assert those themselves.
    const refused = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !refused) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  if (shots) mkdirSync(shots, { recursive: true });
  return {
    page,
    context,
    errors,
    async shot(name) {
      if (!shots) return;
      await stillness(page);
      await page.screenshot({ path: join(shots, `${name}.png`) });
    },
    assertNoErrors() {
      assert.deepEqual(errors, []);
    },
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Runs axe in an isolated world, where the page's own policy does not apply, and wants no finding. */
export async function assertAccessible(browser, name) {
  await stillness(browser.page);
  const session = await browser.context.newCDPSession(browser.page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
    worldName: 'axe',
  });
  const evaluate = (expression) =>
    session.send('Runtime.evaluate', {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
  await evaluate(axeSource);
  const { result, exceptionDetails } =
    await evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, impact, nodes }) => id + ' (' + impact + '): ' + nodes.map((node) => node.target.join(' ') + ' ' + (node.any[0]?.message ?? '')).slice(0, 4).join(' | ')))`);
  await session.detach();
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  assert.deepEqual(result.value, [], `accessibility of ${name}`);
}

/**
 * Colours are only what they are meant to be once what fades in has faded in: what moves is brought
 * to its end. On a page that shows live measurements something may move at all times, so nobody
 * waits for the end of all movement.
 */
async function stillness(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const moved = new Set();
    const settle = () => {
      const moves = document
        .getAnimations()
        .filter((one) => one.effect.getTiming().iterations !== Infinity);
      for (const one of moves) one.finish();
      const fresh = moves.map((one) => one.effect.target).filter((target) => !moved.has(target));
      for (const target of fresh) moved.add(target);
      return fresh.length > 0;
    };
    // What is rendered now may begin to move only after an effect has run, later still on a busy
    // machine: some frames in a row in which nothing moves for the first time count as still.
    for (let still = 0; still < 12; still = settle() ? 0 : still + 1) await frame();
  });
}

export function option(name) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? null : process.argv[at + 1];
}

export function hasFlag(name) {
  return process.argv.includes(`--${name}`);
}
