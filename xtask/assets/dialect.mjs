// What dynamodb-onetable makes of a schema: the items it stores in the table and what it reads from
// them. Its clock stands at a given time while it makes an item.
//
//   node dialect.mjs ENDPOINT TABLE
//
// Requests come on standard input, one JSON object a line, and each is answered with one line. Items
// and properties are AttributeValue JSON, with bytes in base64; a date is the text or number that a
// Date is made from.
//   {"op": "schema", "schema": {...}, "now": millis, "context": {...}}    -> {}
//   {"op": "create" | "update", "model": "M", "properties": {...}}        -> {"item": {...}}
//   {"op": "put", "item": {...}}                                          -> {}
//   {"op": "get", "model": "M", "properties": {...}}                      -> {"seen": JSON}
//   {"op": "numbers", "texts": ["1.0", ...]}                              -> {"numbers": ["1", null, ...]}
// `numbers` are the texts as the table gives them back, null for those that it refuses. `seen` has dates as ISO text, bytes in base64 and sets as lists. What the library or the table
// refuses is answered with {"refused": message}.
//
// The packages are found through PERIWINKLE_TEST_NODE_MODULES.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

// The SDK warns at every start that it will want a newer Node one day.
process.removeAllListeners('warning');

const require = createRequire(resolve(process.env.PERIWINKLE_TEST_NODE_MODULES, 'judges.js'));

// Requests are signed with the true time: only what is made between `stop` and `go` is not.
const TrueDate = Date;
let stopped = null;
globalThis.Date = class extends TrueDate {
  constructor(...given) {
    super(...(given.length ? given : [stopped ?? TrueDate.now()]));
  }
};

const {
  CreateTableCommand, DynamoDBClient, GetItemCommand, PutItemCommand, UpdateItemCommand,
} = require('@aws-sdk/client-dynamodb');
const { unmarshall } = require('@aws-sdk/util-dynamodb');
const { Dynamo } = require('dynamodb-onetable/Dynamo');
const { Table } = require('dynamodb-onetable');

const [endpoint, TableName] = process.argv.slice(2);
const client = new DynamoDBClient({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const key = (AttributeName, KeyType) => ({ AttributeName, KeyType });
await client
  .send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [key('pk', 'HASH'), key('sk', 'RANGE')],
      AttributeDefinitions: ['pk', 'sk'].map((name) => ({ AttributeName: name, AttributeType: 'S' })),
    }),
  )
  .catch((error) => {
    if (error.name !== 'ResourceInUseException') throw error;
  });

let table;
let now;

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await carryOut(JSON.parse(line)).catch((error) => ({ refused: error.message }));
  console.log(JSON.stringify(answer));
}

async function carryOut({ op, schema, context, model, properties, item, ...rest }) {
  switch (op) {
    case 'schema':
      now = rest.now;
      table = new Table({ name: TableName, client: new Dynamo({ client }), schema, partial: true, logger: false });
      table.setContext(context);
      return {};
    case 'create': {
      const command = await make('create', model, properties);
      await client.send(new PutItemCommand(command));
      return stored(command.Item);
    }
    case 'update': {
      const command = await make('update', model, properties);
      await client.send(new UpdateItemCommand(command));
      return stored(command.Key);
    }
    case 'put':
      await client.send(new PutItemCommand({ TableName, Item: bytesIn(item) }));
      return {};
    case 'numbers': {
      const numbers = [];
      for (const text of rest.texts) numbers.push(await kept(text));
      return { numbers };
    }
    case 'get': {
      const seen = await table.getModel(model).get(given(model, properties), { log: false });
      return { seen: shown(seen) };
    }
    default:
      throw new Error(`no such operation: ${op}`);
  }
}

async function make(op, model, properties) {
  stopped = now;
  try {
    return await table.getModel(model)[op](given(model, properties), { execute: false, log: false });
  } finally {
    stopped = null;
  }
}

async function stored({ pk, sk }) {
  const reply = await client.send(new GetItemCommand({ TableName, Key: { pk, sk }, ConsistentRead: true }));
  return { item: textOf(reply.Item) };
}

async function kept(text) {
  const Key = { pk: { S: 'number' }, sk: { S: text } };
  try {
    await client.send(new PutItemCommand({ TableName, Item: { ...Key, n: { N: text } } }));
  } catch (error) {
    if (error.name !== 'ValidationException') throw error;
    return null;
  }
  const reply = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
  return reply.Item.n.N;
}

function given(model, properties) {
  return typed(table.schema.definition.models[model], unmarshall(bytesIn(properties)));
}

// A cloud application gives dates as Date and bytes as Buffer.
function typed(fields, values) {
  const entries = Object.entries(values).map(([name, value]) => {
    const field = fields?.[name];
    if (value === null || value === undefined) return [name, value];
    if (field?.type === 'date') return [name, new Date(value)];
    if (field?.items?.type === 'date') return [name, value.map((each) => new Date(each))];
    if (field?.items?.schema && Array.isArray(value)) {
      return [name, value.map((each) => typed(field.items.schema, each))];
    }
    if (field?.schema) return [name, typed(field.schema, value)];
    return [name, buffers(value)];
  });
  return Object.fromEntries(entries);
}

function buffers(value) {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (value instanceof Set) return new Set([...value].map(buffers));
  if (Array.isArray(value)) return value.map(buffers);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, buffers(each)]));
  }
  return value;
}

function shown(value) {
  if (value instanceof TrueDate) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Set) return [...value].map(shown);
  if (Array.isArray(value)) return value.map(shown);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)]));
  }
  return value ?? null;
}

function eachValue(value, bytes) {
  const [[type, held]] = Object.entries(value);
  switch (type) {
    case 'B':
      return { B: bytes(held) };
    case 'BS':
      return { BS: held.map(bytes) };
    case 'L':
      return { L: held.map((each) => eachValue(each, bytes)) };
    case 'M':
      return { M: eachAttribute(held, bytes) };
    default:
      return value;
  }
}

function eachAttribute(item, bytes) {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, eachValue(value, bytes)]));
}

function bytesIn(item) {
  return eachAttribute(item, (text) => Buffer.from(text, 'base64'));
}

function textOf(item) {
  return eachAttribute(item, (bytes) => Buffer.from(bytes).toString('base64'));
}
