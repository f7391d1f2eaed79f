// A stand-in for the agent, for working on the console without one: the REST API with invented
// data. It serves the built bundle under the strictest content security policy that the agent may
// use. State lives in memory and starts anew with every run.
//
//   node dev/mock.mjs [--port 8090] [--code SPRING-TIME] [--owner ada:correct-horse]
//
// With --owner the setup is done already. `POST /mock/...` plays what only a real device does: see
// `stage` at the end.

import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Measurements } from './measurements.mjs';
import { Tables } from './tables.mjs';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../../crates/agent/src/console/dist');
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');
const MIME = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
};
const RANK = { viewer: 0, editor: 1, owner: 2 };
const SYNC_OFF = {
  enabled: false,
  state: 'off',
  reason: null,
  queued_rows: 0,
  queued_bytes: 0,
  in_flight: 0,
  parked: [],
  last_exchange_ms: null,
  last_error: null,
  sent: 0,
  received: 0,
  conflicts: 0,
  clock_offset_ms: null,
  next_attempt_ms: null,
  epoch: 0,
  table: '',
  region: '',
};

const UPLOADS_OFF = { enabled: false, uploads: [] };

export function startMock({ port = 0, code = 'SPRING-TIME', owner = null } = {}) {
  const world = {
    code,
    users: new Map(),
    sessions: new Map(),
    streams: new Set(),
    measurements: new Measurements(),
    tables: new Tables(),
    sync: SYNC_OFF,
    uploads: UPLOADS_OFF,
    services: ['db', 'web', 'metrics', 'sync'].map((name) => ({
      name,
      state: 'running',
      since_ms: 1_200,
      restarts: 0,
      error: null,
    })),
    started: Date.now() - 86_400_000 * 1.3,
    trusted: true,
    offlineUntil: 0,
    nextEvent: 1,
  };
  if (owner) world.users.set(owner.name, { role: 'owner', password: owner.password });
  world.tables.onChange = (change) => publish(world, 'change', change);
  const timer = setInterval(() => publish(world, 'metrics', world.measurements.next()), 1000);
  const server = createServer((request, response) => {
    handle(world, request, response).catch((error) => {
      if (!response.headersSent) refuse(response, error.status ?? 500, error.message, error);
    });
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () =>
      resolve({
        world,
        url: `http://127.0.0.1:${server.address().port}`,
        close: () => {
          clearInterval(timer);
          server.closeAllConnections();
          server.close();
        },
      }),
    );
  });
}

class Refusal extends Error {
  constructor(status, detail, more = {}) {
    super(detail);
    Object.assign(this, { status, ...more });
  }
}

async function handle(world, request, response) {
  const url = new URL(request.url, 'http://device');
  if (url.pathname.startsWith('/mock/'))
    return stage(world, url.pathname.slice(6), await body(request), response);
  if (Date.now() < world.offlineUntil) return request.socket.destroy();
  if (!url.pathname.startsWith('/api/')) return serveFile(url.pathname, response);
  const segments = url.pathname.split('/').slice(3).map(decodeURIComponent);
  const who = world.sessions.get(cookie(request)) ?? null;
  if (request.method !== 'GET' && who && request.headers['x-xsrf-token'] !== who.xsrf) {
    throw new Refusal(403, 'The XSRF token is missing or old.', { kind: 'request_not_proven' });
  }
  const context = { world, request, response, url, segments, who, method: request.method };
  const route = ROUTES[segments[0]];
  if (!route) throw new Refusal(404, 'There is nothing at this address.');
  await route(context);
}

const ROUTES = { setup, session, status, models, data, metrics, sync, uploads, users, events };

async function setup({ world, method, request, response }) {
  if (method === 'GET') return send(response, 200, { needed: world.users.size === 0 });
  const { code, name, password } = await body(request);
  if (world.users.size > 0) throw new Refusal(409, 'This device has an owner already.');
  if (code !== world.code)
    throw new Refusal(403, 'This is not the setup code.', { kind: 'wrong_code', field: 'code' });
  checkPassword(password);
  world.users.set(name, { role: 'owner', password });
  return signIn(world, response, 201, name);
}

async function session({ world, method, request, response, segments, who }) {
  if (method === 'POST') {
    const { name, password } = await body(request);
    if (world.users.get(name)?.password !== password)
      throw new Refusal(401, 'The name or the password is wrong.');
    return signIn(world, response, 200, name);
  }
  need(who, 'viewer');
  if (segments[1] === 'password') {
    const { old, new: wanted } = await body(request);
    if (world.users.get(who.user).password !== old)
      throw new Refusal(403, 'The present password is wrong.', {
        kind: 'login_failed',
        field: 'old',
      });
    checkPassword(wanted);
    world.users.get(who.user).password = wanted;
    return send(response, 204);
  }
  if (method === 'DELETE') {
    world.sessions.delete(cookie(request));
    return send(response, 204);
  }
  return send(response, 200, who);
}

function signIn(world, response, status, user) {
  const id = randomBytes(16).toString('hex');
  const who = { user, role: world.users.get(user).role, xsrf: randomBytes(16).toString('hex') };
  world.sessions.set(id, who);
  response.setHeader('Set-Cookie', `periwinkle-session=${id}; HttpOnly; SameSite=Strict; Path=/`);
  return send(response, status, who);
}

function status({ world, response, who }) {
  const open = {
    state: 'running',
    version: '0.1.0',
    setup: world.users.size > 0 ? 'done' : 'needed',
  };
  if (!who) return send(response, 200, open);
  return send(response, 200, {
    ...open,
    device: { id: 'greenhouse-7f3a', name: 'Greenhouse north' },
    uptime_ms: Date.now() - world.started,
    time: { wall: new Date().toISOString(), trusted: world.trusted },
    services: world.services,
    db: {
      rows: world.tables.rows,
      bytes: 1_734_112,
      segments: 2,
      sequence: world.tables.sequence,
      durable_sequence: world.tables.sequence,
      dropped: {},
      failure: null,
    },
    sync: world.sync,
    web: { listen: ['127.0.0.1:8080'] },
  });
}

function models({ world, response, who }) {
  need(who, 'viewer');
  return send(response, 200, { models: world.tables.models });
}

async function data({ world, method, request, response, url, segments, who }) {
  need(who, method === 'GET' ? 'viewer' : 'editor');
  const [, name, ...key] = segments;
  const table = world.tables.named(name);
  if (!table) throw new Refusal(404, `The schema has no model “${name}”.`);
  if (key.length === 0 && method === 'GET')
    return send(response, 200, table.page(url.searchParams));
  if (key.length === 0) {
    const item = table.create(await body(request));
    response.setHeader(
      'Location',
      `/api/v1/data/${[name, ...table.keyOf(item)].map(encodeURIComponent).join('/')}`,
    );
    return send(response, 201, item);
  }
  if (method === 'GET') return send(response, 200, table.get(key));
  if (method === 'PATCH') return send(response, 200, table.patch(key, await body(request)));
  if (method === 'DELETE') {
    table.remove(key);
    return send(response, 204);
  }
  throw new Refusal(405, 'This method does nothing here.');
}

function metrics({ world, response, who }) {
  need(who, 'viewer');
  return send(response, 200, { interval_ms: 1000, samples: world.measurements.ring });
}

function sync({ world, method, response, who }) {
  need(who, method === 'GET' ? 'viewer' : 'editor');
  if (method === 'GET') return send(response, 200, world.sync);
  world.retries = (world.retries ?? 0) + 1;
  return send(response, 202);
}

function uploads({ world, method, response, segments, who }) {
  need(who, method === 'GET' ? 'viewer' : 'editor');
  if (world.uploads === null) throw new Refusal(404, 'There is nothing at this address.');
  if (method === 'GET') return send(response, 200, world.uploads);
  if (method === 'POST') {
    world.retries = (world.retries ?? 0) + 1;
    return send(response, 202);
  }
  const left = world.uploads.uploads.filter(({ id }) => id !== segments[1]);
  world.uploads = { ...world.uploads, uploads: left, queued_rows: world.uploads.queued_rows - 1 };
  return send(response, 204);
}

async function users({ world, method, request, response, segments, who }) {
  need(who, 'owner');
  const name = segments[1];
  if (method === 'GET')
    return send(response, 200, {
      users: [...world.users].map(([name, { role }]) => ({ name, role })),
    });
  if (method === 'POST') {
    const user = await body(request);
    if (world.users.has(user.name))
      throw new Refusal(409, `There is a user “${user.name}” already.`, { field: 'name' });
    checkPassword(user.password);
    world.users.set(user.name, { role: user.role, password: user.password });
    return send(response, 201, { name: user.name, role: user.role });
  }
  const user = world.users.get(name);
  if (!user) throw new Refusal(404, `There is no user “${name}”.`);
  if (method === 'DELETE') {
    world.users.delete(name);
    return send(response, 204);
  }
  const change = await body(request);
  if (change.password) checkPassword(change.password);
  Object.assign(user, change);
  return send(response, 200, { name, role: user.role });
}

function events({ world, request, response, who }) {
  need(who, 'viewer');
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write(': here\n\n');
  world.streams.add(response);
  const heartbeat = setInterval(() => response.write(':\n\n'), 15_000);
  request.on('close', () => {
    clearInterval(heartbeat);
    world.streams.delete(response);
  });
}

function publish(world, event, content) {
  const text = `id: ${world.nextEvent++}\nevent: ${event}\ndata: ${typeof content === 'string' ? content : JSON.stringify(content)}\n\n`;
  for (const stream of world.streams) stream.write(text);
}

/** What only a real device does: `sync`, `uploads`, `services`, `change`, `remove`, `offline`, `expire`, `trust`. */
function stage(world, what, input, response) {
  switch (what) {
    case 'sync':
      world.sync =
        input === null
          ? SYNC_OFF
          : {
              ...SYNC_OFF,
              enabled: true,
              state: 'idle',
              table: 'periwinkle',
              region: 'eu-central-1',
              epoch: 41,
              clock_offset_ms: 120,
              ...input,
            };
      publish(world, 'sync', world.sync);
      break;
    case 'uploads':
      world.uploads = input === null || input.enabled !== false ? input : UPLOADS_OFF;
      break;
    case 'services':
      world.services = world.services.map((one) =>
        one.name === input.name ? { ...one, ...input } : one,
      );
      publish(world, 'status', { services: world.services });
      break;
    case 'change':
      world.tables.named(input.model).put(input.item, 'cloud');
      break;
    case 'remove':
      world.tables.named(input.model).remove(input.key, 'cloud');
      break;
    case 'offline':
      world.offlineUntil = Date.now() + input.ms;
      for (const stream of world.streams) stream.destroy();
      break;
    case 'expire':
      world.sessions.clear();
      for (const stream of world.streams) stream.destroy();
      break;
    case 'trust':
      world.trusted = input.trusted;
      break;
    default:
      return refuse(response, 404, 'no such scene');
  }
  return send(response, 204);
}

function need(who, role) {
  if (!who) throw new Refusal(401, 'Please sign in.', { kind: 'login_needed' });
  if (RANK[who.role] < RANK[role])
    throw new Refusal(403, `This needs the role ${role}; you are ${who.role}.`, { kind: 'role' });
}

function checkPassword(password) {
  if (password.length < 8)
    throw new Refusal(422, 'A password needs at least 8 characters.', { field: 'password' });
}

function cookie(request) {
  return /periwinkle-session=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
}

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? {} : JSON.parse(text);
}

function send(response, status, content) {
  if (content === undefined) return response.writeHead(status).end();
  const text = content instanceof Buffer ? content : JSON.stringify(content);
  return response.writeHead(status, { 'Content-Type': 'application/json' }).end(text);
}

function refuse(response, status, detail, { kind = 'refused', field } = {}) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ status, title: 'Refused', detail, kind, field }));
}

function serveFile(path, response) {
  const wanted = join(dist, normalize(path));
  const page = !extname(path) || !existsSync(wanted);
  const file = page ? join(dist, 'index.html') : wanted;
  response.writeHead(page && extname(path) ? 404 : 200, {
    'Content-Type': MIME[extname(file)],
    'Content-Security-Policy': CSP,
    'Cache-Control': page ? 'no-cache' : 'public, max-age=31536000, immutable',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(readFileSync(file));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name) => process.argv[process.argv.indexOf(`--${name}`) + 1];
  const has = (name) => process.argv.includes(`--${name}`);
  const [name, password] = has('owner') ? option('owner').split(':') : [];
  const mock = await startMock({
    port: has('port') ? Number(option('port')) : 8090,
    code: has('code') ? option('code') : 'SPRING-TIME',
    owner: name ? { name, password } : null,
  });
  console.log(`${mock.url}  setup code ${mock.world.code}`);
}
