// Reads and writes the table as a cloud application does, with dynamodb-onetable and our own schema
// file.
//
//   node onetable.mjs ENDPOINT TABLE SCHEMA DEVICE
//
// Requests come on standard input, one JSON object a line, and each is answered with one line:
//   {"op": "get", "model": "Setting", "properties": {"id": "a"}}        -> {"item": {...} or null}
//   {"op": "find", "model": "Metric", "properties": {"month": "..."}}   -> {"items": [...]}
//   {"op": "create" | "update" | "upsert" | "remove", ...}              -> {"item": {...}}
//   {"op": "scan", "model": "Device"}                                   -> {"items": [...]}
// What fails is answered with {"error": code, "message": text}.
//
// The packages are found through PERIWINKLE_TEST_NODE_MODULES.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

// The SDK warns at every start that it will want a newer Node one day.
process.removeAllListeners('warning');

const require = createRequire(resolve(process.env.PERIWINKLE_TEST_NODE_MODULES, 'judges.js'));
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { Dynamo } = require('dynamodb-onetable/Dynamo');
const { Table } = require('dynamodb-onetable');
const JSON5 = require('json5');

const [endpoint, name, schema, device] = process.argv.slice(2);
const client = new DynamoDBClient({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const table = new Table({
  name,
  client: new Dynamo({ client }),
  schema: JSON5.parse(readFileSync(schema, 'utf8')),
  partial: true,
});
table.setContext({ deviceId: device });

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await carryOut(JSON.parse(line)).catch((error) => ({
    error: error.code ?? error.name,
    message: error.message,
  }));
  console.log(JSON.stringify(answer));
}

async function carryOut({ op, model, properties = {}, params = {} }) {
  const rows = table.getModel(model);
  switch (op) {
    case 'find':
    case 'scan':
      return { items: [...(await rows[op](properties, params))] };
    case 'create':
    case 'get':
    case 'remove':
    case 'update':
    case 'upsert':
      return { item: (await rows[op](properties, params)) ?? null };
    default:
      throw new Error(`no such operation: ${op}`);
  }
}
