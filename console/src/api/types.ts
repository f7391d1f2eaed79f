// The shapes of the agent's REST API, version 1.

export type Role = 'viewer' | 'editor' | 'owner';

export interface Session {
  user: string;
  role: Role;
  xsrf: string;
}

export type ServiceState = 'running' | 'backoff' | 'stopped' | 'failed';

export interface Service {
  name: string;
  state: ServiceState;
  since_ms: number;
  restarts: number;
  error: string | null;
}

export interface Status {
  state: string;
  version: string;
  setup: 'needed' | 'done';
  device?: { id: string; name: string };
  uptime_ms?: number;
  time?: { wall: number | string; trusted: boolean };
  services?: Service[];
  db?: {
    rows: number;
    bytes: number;
    segments: number;
    sequence: number;
    durable_sequence: number;
    queue: number;
  };
  sync?: SyncStatus;
  web?: { listen: string[] };
}

export type SyncState = 'off' | 'starting' | 'idle' | 'sending' | 'waiting' | 'paused' | 'failed';

export interface SyncStatus {
  enabled: boolean;
  state: SyncState;
  reason: { kind: string; text: string; hint: string } | null;
  queued_rows: number;
  queued_bytes: number;
  in_flight: number;
  parked: { model: string; key: string | string[]; reason: string }[];
  last_exchange_ms: number | null;
  last_error: { at_ms: number; kind: string; text: string } | null;
  sent: number;
  received: number;
  conflicts: number;
  clock_offset_ms: number | null;
  next_attempt_ms: number | null;
  epoch: number | string | null;
  table: string | null;
  region: string | null;
}

export interface Sample {
  at_ms: number;
  cpu_pct: number;
  load1: number;
  mem_used_bytes: number;
  mem_total_bytes: number;
  disk_used_bytes: number;
  disk_total_bytes: number;
  net_rx_bps: number;
  net_tx_bps: number;
  temp_c: number | null;
  uptime_s: number;
  cores: number[];
}

export interface Metrics {
  interval_ms: number;
  samples: Sample[];
}

export type FieldType =
  | 'string'
  | 'number'
  | 'boolean'
  | 'date'
  | 'array'
  | 'object'
  | 'binary'
  | 'set';

export interface Field {
  name: string;
  type: FieldType;
  required: boolean;
  enum?: unknown[] | null;
  default?: unknown;
  hidden?: boolean;
  readonly?: boolean;
  generate?: string | boolean | null;
}

export interface Model {
  name: string;
  sync: 'up' | 'down' | 'both' | 'none';
  keys: string[];
  fields: Field[];
}

export type Item = Record<string, unknown>;

export interface ItemPage {
  items: Item[];
  next: string | null;
}

export interface Change {
  model: string;
  key: string[];
  type: 'put' | 'remove';
  origin: 'local' | 'cloud';
  item?: Item | null;
}

export interface User {
  name: string;
  role: Role;
  created_ms?: number | null;
}
