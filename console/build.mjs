// Builds the console into crates/agent/src/console/dist, which is committed so that building the
// agent needs no Node. The same sources and lock file give the same bytes on every machine; CI
// runs `node build.mjs --check` to prove that the committed bundle belongs to these sources.

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const committed = resolve(here, '../crates/agent/src/console/dist');

/** What a browser may have to fetch in all, and before somebody can sign in. */
const TOTAL_GZIP_BYTES_MAX = 100_000;
const LOGIN_GZIP_BYTES_MAX = 30_000;

const SHIPPED_PACKAGES = ['@preact/signals', '@preact/signals-core', 'preact', 'uplot'];

const shared = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  charset: 'utf8',
  legalComments: 'none',
  target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
  logLevel: 'warning',
  write: false,
};

const argument = process.argv[2] ?? '';
const files = await bundle();
checkBudget(files);
if (argument === '--check') {
  compare(files, committed);
} else {
  write(files, argument.startsWith('--out=') ? resolve(argument.slice(6)) : committed);
}

/** Every file of the bundle by its path below dist, as bytes. */
async function bundle() {
  const files = new Map();
  const script = await compile({
    entryPoints: { app: 'src/main.tsx' },
    format: 'esm',
    splitting: true,
    outdir: 'assets',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  // Runs before the first paint, so that a chosen theme never flashes; a module would run too late.
  const theme = await compile({
    entryPoints: { theme: 'src/theme-early.ts' },
    format: 'iife',
    outdir: 'assets',
    entryNames: '[name]-[hash]',
  });
  const style = await compile({
    entryPoints: { style: 'src/styles/index.css' },
    outdir: 'assets',
    entryNames: '[name]-[hash]',
  });
  for (const part of [script, theme, style]) {
    for (const [path, bytes] of part.files) files.set(path, bytes);
  }
  const icon = readFileSync(join(here, 'src/flower.svg'));
  const iconPath = `assets/flower-${sha256(icon).slice(0, 8).toUpperCase()}.svg`;
  files.set(iconPath, icon);
  files.set('licenses.txt', Buffer.from(licenses()));
  const page = readFileSync(join(here, 'src/index.html'), 'utf8')
    .replace('{{app}}', script.entry)
    .replace('{{theme}}', theme.entry)
    .replace('{{style}}', style.entry)
    .replace('{{icon}}', iconPath)
    .replace('{{preload}}', script.imports.map(preload).join('\n    '));
  files.set('index.html', Buffer.from(page));
  return files;
}

async function compile(options) {
  const result = await build({ ...shared, ...options, metafile: true });
  const files = new Map();
  for (const file of result.outputFiles) {
    files.set(assetPath(file.path.replaceAll('\\', '/')), Buffer.from(file.contents));
  }
  const { outputs } = result.metafile;
  const entry = Object.keys(outputs).find(
    (path) => outputs[path].entryPoint && isEntry(path, options),
  );
  return { files, entry: assetPath(entry), imports: staticImports(outputs, entry).map(assetPath) };
}

/** With splitting, what is imported on demand counts as an entry point too. */
function isEntry(path, options) {
  return Object.keys(options.entryPoints).some((name) =>
    posix.basename(path).startsWith(`${name}-`),
  );
}

/** Everything that must be there before the entry can run, so that it is fetched in one go. */
function staticImports(outputs, entry, seen = new Set()) {
  for (const { path, kind } of outputs[entry].imports) {
    if (kind !== 'import-statement' || seen.has(path)) continue;
    seen.add(path);
    staticImports(outputs, path, seen);
  }
  return [...seen].sort();
}

function assetPath(path) {
  return posix.join('assets', posix.basename(path));
}

function preload(path) {
  return `<link rel="modulepreload" href="/${path}">`;
}

function licenses() {
  const parts = ['The web console contains these libraries.\n'];
  for (const name of SHIPPED_PACKAGES) {
    const folder = join(here, 'node_modules', name);
    const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = readFileSync(join(folder, file), 'utf8').replace(/\r\n/g, '\n').trim();
    parts.push(`${'='.repeat(72)}\n${name} ${about.version}\n\n${text}\n`);
  }
  return parts.join('\n');
}

function checkBudget(files) {
  const sizes = [...files].map(([path, bytes]) => ({
    path,
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
  }));
  const served = sizes.filter(({ path }) => extname(path) !== '.txt');
  const page = files.get('index.html').toString();
  const login = served.filter(({ path }) => path === 'index.html' || page.includes(path));
  const sum = (list) => list.reduce((total, { gzip }) => total + gzip, 0);
  for (const { path, raw, gzip } of sizes) {
    console.log(`${String(raw).padStart(8)} B ${String(gzip).padStart(7)} B gzip  ${path}`);
  }
  console.log(`login ${sum(login)} B gzip, all ${sum(served)} B gzip`);
  if (sum(login) > LOGIN_GZIP_BYTES_MAX)
    fail(`signing in needs more than ${LOGIN_GZIP_BYTES_MAX} B`);
  if (sum(served) > TOTAL_GZIP_BYTES_MAX) fail(`the bundle is over ${TOTAL_GZIP_BYTES_MAX} B`);
}

function compare(files, folder) {
  const found = new Set(existsSync(folder) ? listFiles(folder) : []);
  const wrong = [];
  for (const [path, bytes] of files) {
    if (!found.delete(path)) wrong.push(`missing: ${path}`);
    else if (!readFileSync(join(folder, path)).equals(bytes)) wrong.push(`differs: ${path}`);
  }
  for (const path of found) wrong.push(`not built by these sources: ${path}`);
  if (wrong.length > 0) {
    fail(
      `${folder} is stale; run \`node console/build.mjs\` and commit it\n  ${wrong.join('\n  ')}`,
    );
  }
  console.log('the committed bundle belongs to these sources');
}

function write(files, folder) {
  rmSync(folder, { recursive: true, force: true });
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
}

function listFiles(folder, prefix = '') {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? listFiles(join(folder, entry.name), `${prefix}${entry.name}/`)
      : [prefix + entry.name],
  );
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}
