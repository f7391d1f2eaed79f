// The shapes of the agent's REST API, version 1.

export type Role = 'viewer' | 'editor' | 'owner';

export interface Session {
  user: string;
  role: Role;
  xsrf: string;
}

export type ServiceState = 'starting' | 'running' | 'backoff' | 'stopped' | 'failed';

export interface Service {
  name: string;
  state: ServiceState;
  /** Milliseconds after the agent's start, so that a corrected clock changes nothing. */
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
  time?: { wall: string | null; trusted: boolean; source?: string | null; confirmed?: string | null };
  services?: Service[];
  db?: {
    rows: number;
    bytes: number;
    segments: number;
    sequence: number;
    durable_sequence: number;
    /** Rows that gave way to the bound of their model, by model. */
    dropped?: Record<string, number>;
    /** Why nothing can be written at the moment. */
    failure?: string | null;
  };
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
  /** The key as it is in the table: partition and sort key. */
  parked: { model: string; key: string[]; reason: string }[];
  last_exchange_ms: number | null;
  last_error: { at_ms: number | null; kind: string; text: string } | null;
  sent: number;
  received: number;
  conflicts: number;
  clock_offset_ms: number | null;
  next_attempt_ms: number | null;
  /** 0 before it has one. */
  epoch: number;
  /** Empty while replication is off. */
  table: string;
  region: string;
}

export type UploadState =
  'waiting' | 'sending' | 'done' | 'aborted' | 'changed' | 'gone' | 'expired';

export interface Upload {
  id: string;
  state: UploadState;
  bucket: string;
  key: string;
  /** Null where the bytes are a copy of the agent's own. */
  file: string | null;
  bytes: number;
  sent: number;
  attempts: number;
  /** Null where no clock was trusted. */
  created_ms: number | null;
  ended_ms: number | null;
  /** Why the last attempt failed, or how it ended. */
  error: string | null;
  /** Somebody has to set something right. */
  refused: boolean;
  /** It waits for credentials; `error` says why there are none. */
  lacks_credentials: boolean;
}

export interface Uploads {
  enabled: boolean;
  bucket: string | null;
  queued_rows: number;
  queued_bytes: number;
  sending: number;
  /** Why there are no credentials for what waits. */
  credentials_error: string | null;
  done: number;
  done_bytes: number;
  aborted: number;
  lost: number;
  expired: number;
  /** By the budget of the queue. */
  refused: number;
  attempts_failed: number;
  uploads: Upload[];
}

/** What the device does not have or tell is null. Rates are in bytes per second. */
export interface Sample {
  at_ms: number;
  cpu_pct: number | null;
  load1: number | null;
  mem_used_bytes: number | null;
  mem_total_bytes: number | null;
  disk_used_bytes: number | null;
  disk_total_bytes: number | null;
  net_rx_bps: number | null;
  net_tx_bps: number | null;
  temp_c: number | null;
  uptime_s: number | null;
  cores: number[];
}

export interface Metrics {
  interval_ms: number;
  samples: Sample[];
}

export type FieldType =
  'string' | 'number' | 'boolean' | 'date' | 'array' | 'object' | 'binary' | 'set';

export interface Field {
  name: string;
  type: FieldType;
  required: boolean;
  enum?: unknown[] | null;
  default?: unknown;
  readonly?: boolean;
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

/** In the place of a change: some went by unseen. */
export interface ChangeGap {
  gap: true;
}

export interface User {
  name: string;
  role: Role;
}
