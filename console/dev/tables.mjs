// Invented models and rows, one model of every kind of field, and the writes that a test makes.

const DAY_MS = 86_400_000;

const MODELS = [
  {
    name: 'Device',
    sync: 'both',
    keys: ['id'],
    fields: [
      field('id', 'string', true),
      field('name', 'string', true),
      field('location', 'string'),
      field('model', 'string'),
      field('version', 'string'),
      field('started', 'date'),
    ],
  },
  {
    name: 'Metric',
    sync: 'up',
    keys: ['month', 'at'],
    fields: [
      field('month', 'string', true),
      field('at', 'string', true),
      field('cpu_avg', 'number'),
      field('cpu_max', 'number'),
      field('load1', 'number'),
      field('mem_used_avg', 'number'),
      field('disk_used', 'number'),
      field('temp_max', 'number'),
      field('expires', 'date'),
    ],
  },
  {
    name: 'Setting',
    sync: 'both',
    keys: ['id'],
    fields: [field('id', 'string', true), field('value', 'string', true), field('note', 'string')],
  },
  {
    name: 'Valve',
    sync: 'none',
    keys: ['id'],
    fields: [
      field('id', 'string', true),
      field('open', 'boolean', true),
      field('flow', 'number'),
      field('mode', 'string', true, { enum: ['manual', 'timer', 'sensor'], default: 'manual' }),
      field('opened', 'date'),
      field('zones', 'array'),
      field('plan', 'object'),
      field('tags', 'set'),
      field('seal', 'binary'),
    ],
  },
  {
    name: 'Forecast',
    sync: 'down',
    keys: ['day'],
    fields: [field('day', 'string', true), field('rain_mm', 'number')],
  },
];

function field(name, type, required = false, more = {}) {
  return { name, type, required, ...more };
}

export class Tables {
  constructor() {
    this.models = MODELS;
    this.sequence = 48_210;
    this.onChange = () => {};
    this.tables = new Map(MODELS.map((model) => [model.name, new Table(model, this)]));
    fill(this.tables);
  }

  get rows() {
    return [...this.tables.values()].reduce((sum, table) => sum + table.items.size, 0);
  }

  named(name) {
    return this.tables.get(name);
  }
}

class Table {
  constructor(model, all) {
    this.model = model;
    this.all = all;
    this.items = new Map();
  }

  keyOf(item) {
    return this.model.keys.map((name) => String(item[name]));
  }

  page(query) {
    const limit = Number(query.get('limit') ?? 50);
    const start = Number(query.get('next') ?? 0);
    const keys = [...this.items.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? ''))
      .sort();
    if (query.get('reverse') === 'true') keys.reverse();
    const items = keys.slice(start, start + limit).map((key) => this.items.get(key));
    return { items, next: start + limit < keys.length ? String(start + limit) : null };
  }

  get(key) {
    const item = this.items.get(key.join('\u0000'));
    if (!item)
      throw Object.assign(new Error('There is no such row.'), { status: 404, kind: 'not_found' });
    return item;
  }

  create(item) {
    const missing = this.model.fields.find(
      ({ name, required }) => required && item[name] === undefined,
    );
    if (missing)
      throw Object.assign(new Error(`“${missing.name}” is needed.`), {
        status: 422,
        field: missing.name,
      });
    if (this.items.has(this.keyOf(item).join('\u0000'))) {
      throw Object.assign(new Error('There is a row with this key already.'), {
        status: 409,
        kind: 'exists',
      });
    }
    return this.put(item, 'local');
  }

  patch(key, change) {
    const item = { ...this.get(key), ...change };
    for (const name of Object.keys(change)) if (change[name] === null) delete item[name];
    return this.put(item, 'local');
  }

  put(item, origin) {
    const key = this.keyOf(item);
    const stored = {
      ...item,
      _type: this.model.name,
      ...(this.model.sync === 'none' ? {} : { _v: (item._v ?? 0) + 1 }),
    };
    this.items.set(key.join('\u0000'), stored);
    this.#tell({ model: this.model.name, key, type: 'put', origin, item: stored });
    return stored;
  }

  remove(key, origin = 'local') {
    this.get(key);
    this.items.delete(key.join('\u0000'));
    this.#tell({ model: this.model.name, key, type: 'remove', origin, item: null });
  }

  #tell(change) {
    this.all.sequence += 1;
    this.all.onChange(change);
  }
}

function fill(tables) {
  tables.get('Device').put(
    {
      id: 'greenhouse-7f3a',
      name: 'Greenhouse north',
      location: 'Row 4, under the bench',
      model: 'Raspberry Pi 4',
      version: '0.1.0',
      started: new Date(Date.now() - DAY_MS).toISOString(),
    },
    'local',
  );
  for (const [id, value, note] of [
    ['irrigation.start', '06:30', 'Local time'],
    ['irrigation.minutes', '12', ''],
    ['lamp.lux.min', '8000', 'Below this the lamps go on'],
    ['window.open.celsius', '27.5', 'Set by the agronomist'],
    ['window.close.celsius', '24', ''],
    ['alarm.phone', '+49 30 901820', 'Who is woken at night'],
  ]) {
    tables.get('Setting').put({ id, value, ...(note ? { note } : {}) }, 'local');
  }
  const start = Math.floor(Date.now() / 60_000) * 60_000 - 130 * 60_000;
  for (let minute = 0; minute < 130; minute += 1) {
    const at = new Date(start + minute * 60_000).toISOString();
    tables.get('Metric').put(
      {
        month: at.slice(0, 7),
        at,
        cpu_avg: 8 + (minute % 17) * 0.73,
        cpu_max: 31 + (minute % 23),
        load1: 0.4 + (minute % 9) * 0.05,
        mem_used_avg: 762_000_000 + minute * 10_400,
        disk_used: 5_583_457_484,
        temp_max: 47.5 + (minute % 5) * 0.4,
        expires: new Date(start + 30 * DAY_MS).toISOString(),
      },
      'local',
    );
  }
  tables.get('Valve').put(
    {
      id: 'north-1',
      open: true,
      flow: 4.25,
      mode: 'timer',
      opened: new Date(Date.now() - 3_600_000).toISOString(),
      zones: ['tomatoes', 'basil'],
      plan: { start: '06:30', minutes: 12 },
      tags: ['brass', 'new'],
      seal: 'cGVyaXdpbmtsZQ==',
    },
    'local',
  );
  tables.get('Valve').put({ id: 'north-2', open: false, mode: 'manual', flow: 0 }, 'local');
}
