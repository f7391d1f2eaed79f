// The console's pure parts: exact numbers, forms, live rows, words, addresses.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const console_ = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(join(tmpdir(), 'periwinkle-unit-'));
after(() => rmSync(folder, { recursive: true }));

// The pages read these at their start.
globalThis.location = { pathname: '/', search: '' };
globalThis.addEventListener = () => {};

const { numbers, fields, live, format, route, uploads } = await load(`
  export * as numbers from './src/api/numbers';
  export * as fields from './src/pages/data/fields';
  export * as live from './src/pages/data/live';
  export * as format from './src/format';
  export * as route from './src/state/route';
  export * as uploads from './src/pages/upload-words';
`);

async function load(contents) {
  const outfile = join(folder, 'parts.mjs');
  await build({
    stdin: { contents, resolveDir: console_, loader: 'ts' },
    bundle: true,
    format: 'esm',
    outfile,
    logLevel: 'error',
  });
  return import(pathToFileURL(outfile));
}

test('numbers of any length survive reading and writing', () => {
  for (const text of [
    '{"a":12345678901234567890.123,"b":[0.1,1e3,-5],"c":"12345678901234567890"}',
    '99999999999999999999999999999999999999',
    '"a \\"quoted\\" 12345678901234567890 and a \\\\"',
    '[-0.00000000000000000012345678901234567,true,null]',
  ]) {
    assert.equal(numbers.stringifyExact(numbers.parseExact(text)), text.replace('1e3', '1000'));
  }
});

test('numbers that a JavaScript number holds are plain numbers', () => {
  assert.deepEqual(
    numbers.parseExact('[12.0, 0.1, 123456789012345, 1.5e3]'),
    [12, 0.1, 123456789012345, 1500],
  );
  assert.equal(numbers.parseExact('1234567890123456') instanceof numbers.Decimal, true);
});

test('broken JSON is refused', () => {
  for (const text of ['{', '01', '[1,]', '12345678901234567890x'])
    assert.throws(() => numbers.parseExact(text), SyntaxError);
});

const MODEL = {
  name: 'Valve',
  sync: 'both',
  keys: ['group', 'id'],
  fields: [
    { name: 'note', type: 'string', required: false },
    { name: 'id', type: 'string', required: true },
    { name: 'group', type: 'string', required: true },
    { name: 'flow', type: 'number', required: true },
    { name: 'mode', type: 'string', required: true, enum: ['manual', 'timer'], default: 'manual' },
    { name: 'open', type: 'boolean', required: false },
    { name: 'plan', type: 'object', required: false },
    { name: 'tags', type: 'set', required: false },
    { name: 'seal', type: 'binary', required: false },
    { name: 'seen', type: 'date', required: false },
  ],
};

test('a form starts with the key and a table with its most telling part', () => {
  assert.deepEqual(
    fields
      .formFields(MODEL)
      .map(({ name }) => name)
      .slice(0, 3),
    ['group', 'id', 'note'],
  );
  assert.deepEqual(
    fields.tableFields(MODEL).map(({ name }) => name),
    ['id', 'note', 'flow', 'mode', 'open', 'group'],
  );
  const onlyItem = { keys: [], fields: [{ name: 'site', type: 'string', required: true }] };
  assert.deepEqual(
    fields.tableFields(onlyItem).map(({ name }) => name),
    ['site'],
  );
});

test('a new row carries typed values and leaves out what is empty', () => {
  const drafts = {
    group: 'a',
    id: 'b',
    flow: ' 1.50 ',
    open: 'false',
    plan: '{"x":1}',
    tags: '["t"]',
    seal: 'AAE=',
    mode: '',
  };
  const { item, problems } = fields.newItem(fields.formFields(MODEL), drafts);
  assert.deepEqual(problems, []);
  assert.deepEqual(item, {
    group: 'a',
    id: 'b',
    flow: 1.5,
    open: false,
    plan: { x: 1 },
    tags: ['t'],
    seal: 'AAE=',
  });
});

test('each wrong field of a new row is named', () => {
  const drafts = { group: 'a', flow: '1,5', plan: '[]', tags: 'x', seal: 'A', seen: 'yesterday' };
  const { problems } = fields.newItem(fields.formFields(MODEL), drafts);
  assert.deepEqual(
    problems.map(({ field }) => field),
    ['id', 'flow', 'plan', 'tags', 'seal', 'seen'],
  );
});

test('a patch holds what was changed and nothing else', () => {
  const before = {
    group: 'a',
    id: 'b',
    flow: 1,
    note: 'x',
    plan: { b: 1, a: [2] },
    seen: '2026-11-22T10:00:00.123Z',
  };
  const all = fields.formFields(MODEL);
  const drafts = fields.draftsOf(all, before);
  assert.deepEqual(fields.patchOf(all, before, drafts), { patch: {}, problems: [] });
  assert.deepEqual(fields.patchOf(all, before, { ...drafts, note: '', flow: '2' }).patch, {
    note: null,
    flow: 2,
  });
  assert.deepEqual(fields.patchOf(all, before, { ...drafts, flow: '1.0' }).patch, {});
  assert.deepEqual(fields.patchOf(all, before, { ...drafts, flow: '' }).problems, [
    { field: 'flow', words: 'This is needed.' },
  ]);
});

test('a date keeps its moment through the form of any time zone', () => {
  const field = { name: 'seen', type: 'date', required: false };
  const moment = '2026-07-01T22:30:05.007Z';
  assert.equal(fields.valueOf(field, fields.draftOf(field, moment)), moment);
});

test('what is not in the schema is shown apart', () => {
  const item = { group: 'a', id: 'b', flow: 1, _v: 3, other: { x: 1 } };
  assert.deepEqual(fields.otherAttributes(MODEL, item), [
    ['_v', 3],
    ['other', { x: 1 }],
  ]);
});

const ROWS = {
  name: 'Row',
  sync: 'both',
  keys: ['id'],
  fields: [{ name: 'id', type: 'string', required: true }],
};
const VIEW = { prefix: '', reverse: false, first: true };
const page = (ids, next = null) => ({ items: ids.map((id) => ({ id })), next });
const put = (id, more = {}) => ({
  model: 'Row',
  key: [id],
  type: 'put',
  origin: 'cloud',
  item: { id, ...more },
});

function check(start, change, view, expected, outcome) {
  const result = live.applyChange(ROWS, start, change, { ...VIEW, ...view });
  assert.deepEqual([result.page.items.map(({ id }) => id), result.outcome], [expected, outcome]);
}

test('a change flows into the page at its place', () => {
  check(page(['a', 'c']), put('b'), {}, ['a', 'b', 'c'], 'added');
  check(page(['a', 'c']), put('d'), {}, ['a', 'c', 'd'], 'added');
  check(page([]), put('d'), {}, ['d'], 'added');
  check(page(['c', 'a']), put('b'), { reverse: true }, ['c', 'b', 'a'], 'added');
  check(page(['a', 'c']), put('c', { x: 1 }), {}, ['a', 'c'], 'updated');
  check(page(['a', 'c']), { ...put('a'), type: 'remove', item: null }, {}, ['c'], 'removed');
});

test('a change outside the page stays outside', () => {
  check(page(['a', 'c'], 'more'), put('d'), {}, ['a', 'c'], 'elsewhere');
  check(page(['b', 'c']), put('a'), { first: false }, ['b', 'c'], 'elsewhere');
  check(page(['a']), put('b'), { prefix: 'x' }, ['a'], 'elsewhere');
  check(page(['a']), { ...put('z'), type: 'remove', item: null }, {}, ['a'], 'elsewhere');
});

test('amounts have units that fit', () => {
  const table = [
    [format.bytes(0), '0 B'],
    [format.bytes(1023), '1023 B'],
    [format.bytes(1536), '1.50 KiB'],
    [format.bytes(2 * 1024 ** 3), '2.00 GiB'],
    [format.bytes(2 * 1024 ** 3, 'short'), '2 GiB'],
    [format.byteRate(999), '999 B/s'],
    [format.byteRate(12_345), '12.3 kB/s'],
    [format.percent(3.14159), '3.1 %'],
    [format.percent(9.96), '10 %'],
  ];
  for (const [amount, words] of table)
    assert.equal(format.text(amount), words.replace(' ', '\u202f'));
});

test('durations are told in the two largest units', () => {
  const table = [
    [0, '0 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [90_061_000, '1 d 1 h'],
    [86_400_000, '1 d'],
    [-5, '0 s'],
  ];
  for (const [ms, words] of table) assert.equal(format.duration(ms), words);
  assert.equal(format.ago(500), 'just now');
  assert.equal(format.ago(90_000), '1 min ago');
});

test('addresses carry any key', () => {
  const key = ['a/b', 'ä ?#%', ''];
  const address = route.dataAddress('Setting', key);
  assert.deepEqual(route.parsePlace(address), {
    page: 'data',
    rest: ['Setting', ...key.slice(0, 2)],
    creating: false,
  });
  const onlyItem = route.dataAddress('Device', []);
  assert.equal(onlyItem, '/data/Device/');
  assert.deepEqual(route.parsePlace(onlyItem).rest, ['Device', '']);
  assert.deepEqual(route.parsePlace(route.dataAddress('Device')).rest, ['Device']);
  assert.deepEqual(route.parsePlace('/data/').rest, []);
  assert.deepEqual(route.parsePlace('/data/Setting?new'), {
    page: 'data',
    rest: ['Setting'],
    creating: true,
  });
  assert.equal(route.parsePlace('/other').page, 'unknown');
  assert.deepEqual(route.parsePlace('/data/%E0%A4%A'), {
    page: 'data',
    rest: ['%E0%A4%A'],
    creating: false,
  });
});

test('an upload is put in words by what somebody has to do', () => {
  const upload = (more) => ({ state: 'waiting', attempts: 0, refused: false, ...more });
  for (const [more, mood, words] of [
    [{}, 'quiet', 'Waiting'],
    [{ attempts: 2 }, 'busy', 'Will try again'],
    [{ attempts: 2, refused: true }, 'bad', 'Refused'],
    [{ refused: true, lacks_credentials: true }, 'bad', 'No credentials'],
    [{ state: 'sending' }, 'accent', 'Sending'],
    [{ state: 'sending', attempts: 1 }, 'busy', 'Trying again'],
    [{ state: 'done' }, 'good', 'Uploaded'],
    [{ state: 'aborted' }, 'quiet', 'Removed'],
    [{ state: 'gone' }, 'busy', 'File gone'],
  ]) {
    assert.deepEqual(uploads.uploadState(upload(more)), [mood, words]);
  }
  const share = (more) => uploads.sentShare({ state: 'sending', sent: 5, bytes: 10, ...more });
  assert.equal(share({}), 0.5);
  assert.equal(share({ sent: 50 }), 1, 'what was lost on its way leaves again');
  assert.equal(share({ bytes: 0 }), null);
  assert.equal(share({ state: 'waiting' }), null);
});

test('a queue is put in words, the worst of it first', () => {
  const queue = (rows, sending = 0) => ({
    queued_rows: rows.length,
    sending,
    uploads: rows.map((more) => ({ state: 'waiting', attempts: 0, refused: false, ...more })),
  });
  for (const [shown, title] of [
    [queue([]), 'Nothing waits'],
    [queue([{}]), 'About to send'],
    [queue([{ attempts: 1 }, {}]), 'Waiting to try again'],
    [queue([{ attempts: 1 }, { state: 'sending' }], 1), 'Sending'],
    [queue([{ refused: true }, { state: 'sending' }], 1), 'Somebody has to set something right'],
  ]) {
    assert.equal(uploads.queueWords(shown)[0], title);
  }
  const none = { ...queue([{ refused: true }, {}]), credentials_error: 'there are none' };
  assert.deepEqual(uploads.queueWords(none), [
    'Waiting for credentials',
    'there are none. 2 uploads kept safe on this device meanwhile.',
  ]);
});
