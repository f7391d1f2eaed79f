// Replication: what it is doing, why, and what to do about it.

import { useEffect, useState } from 'preact/hooks';
import { wordsOf } from '../api/client';
import type { SyncState, SyncStatus } from '../api/types';
import { ago, bytes, count, dateTime, duration, several, text } from '../format';
import { deviceNow, retrySync, status, sync, troubles } from '../state/device';
import { canEdit } from '../state/session';
import { dataAddress } from '../state/route';
import { Button, Link, Loading, Notice, Pill } from '../ui/basics';
import { type Counter, Counters } from '../ui/counters';
import { Icon } from '../ui/icons';
import { toast } from '../ui/toasts';
import { Fact } from './home/database';
import { syncExplanation, syncMood, syncTitle } from './sync-words';

export function ReplicationPage() {
  const state = sync.value;
  const trouble = troubles.value.sync;
  useTick(1_000);
  return (
    <div class="page replication">
      <header class="section-head">
        <h1>Replication</h1>
      </header>
      {!state && !trouble && <Loading rows={5} what="the state of replication" />}
      {!state && trouble && (
        <Notice mood="info" title="There is no replication to show.">
          <p>{trouble}</p>
        </Notice>
      )}
      {state?.state === 'off' && <Off />}
      {state && state.state !== 'off' && <On state={state} />}
    </div>
  );
}

function On({ state }: { state: SyncStatus }) {
  return (
    <>
      <section class="card sync-card" aria-label="State">
        <Picture state={state.state} queued={state.queued_rows} table={state.table} />
        <div class="sync-words" role="status">
          <h2>
            {syncTitle(state)} <Pill mood={syncMood(state)}>{state.state}</Pill>
          </h2>
          <p>{syncExplanation(state)}</p>
        </div>
        {state.reason && (
          <Notice mood={syncMood(state) === 'bad' ? 'bad' : 'busy'} title={state.reason.text}>
            <p>{state.reason.hint}</p>
          </Notice>
        )}
        <div class="actions">
          <span class="muted">{nextAttempt(state)}</span>
          <TryNow />
        </div>
      </section>
      <Numbers state={state} />
      {state.parked.length > 0 && <Parked parked={state.parked} />}
      <Details state={state} />
    </>
  );
}

function TryNow() {
  const [busy, setBusy] = useState(false);
  if (!canEdit.value) return null;
  async function retry(): Promise<void> {
    setBusy(true);
    try {
      await retrySync();
      toast('Trying now.');
    } catch (problem) {
      toast(wordsOf(problem), 'bad');
    } finally {
      setBusy(false);
    }
  }
  return (
    <Button look="primary" icon="retry" busy={busy} onClick={() => void retry()}>
      Try now
    </Button>
  );
}

function nextAttempt({ next_attempt_ms }: SyncStatus): string {
  if (next_attempt_ms === null || next_attempt_ms === undefined) return '';
  const wait = next_attempt_ms - deviceNow();
  return wait < 1_000 ? 'Next exchange any moment' : `Next exchange in ${duration(wait)}`;
}

/** The device, the way, the table. The words beside it say the same. */
function Picture({
  state,
  queued,
  table,
}: {
  state: SyncState;
  queued: number;
  table: string | null;
}) {
  return (
    <div class={`way ${state}`} aria-hidden="true">
      <span class="way-end">
        <Icon name="device" />
        {queued > 0 && <b>{count(queued)}</b>}
      </span>
      <span class="way-line">
        <i />
        <i />
        <i />
      </span>
      <span class="way-end">
        <Icon name="cloud" />
      </span>
      <span class="way-name">this device</span>
      <span class="way-name">{table || 'the cloud'}</span>
    </div>
  );
}

function Numbers({ state }: { state: SyncStatus }) {
  const counters: Counter[] = [
    ['Waiting', count(state.queued_rows), text(bytes(state.queued_bytes))],
    ['In flight', count(state.in_flight), 'sent, not answered yet'],
    ['Sent', count(state.sent), 'since the agent started'],
    ['Received', count(state.received), 'since the agent started'],
    ['Conflicts', count(state.conflicts), 'edited on both sides, merged'],
  ];
  return <Counters counters={counters} />;
}

function Parked({ parked }: { parked: SyncStatus['parked'] }) {
  return (
    <section class="card" aria-labelledby="parked-title">
      <h2 id="parked-title">{several(parked.length, 'change')} set aside</h2>
      <p class="muted">
        What the table refused stays here, out of the way of the rest, until the row is changed or
        the cause is gone.
      </p>
      <ul class="parked">
        {parked.map(({ model, key, reason }) => (
          <li key={key.join(' ')}>
            <span>
              {model && <Link to={dataAddress(model)}>{model}</Link>}{' '}
              <span class="mono">{key.at(-1)}</span>
            </span>
            <span class="muted">{reason}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Details({ state }: { state: SyncStatus }) {
  const last = state.last_exchange_ms;
  return (
    <section class="card" aria-labelledby="details-title">
      <h2 id="details-title">Details</h2>
      <dl class="facts">
        <Fact name="Last exchange">
          {last ? <span title={dateTime(last)}>{ago(deviceNow() - last)}</span> : 'none yet'}
        </Fact>
        <Fact name="Last error">
          {state.last_error ? (
            <>
              {state.last_error.text}
              <span class="muted">{` (${errorNote(state.last_error)})`}</span>
            </>
          ) : (
            'none'
          )}
        </Fact>
        <Fact name="Table">
          <span class="mono">{state.table || 'not known yet'}</span>
          {state.region && <span class="muted">{` in ${state.region}`}</span>}
        </Fact>
        <Fact name="Clock">{clockWords(state.clock_offset_ms)}</Fact>
        <Fact name="Epoch">
          <span class="mono">{state.epoch || 'none yet'}</span>
        </Fact>
      </dl>
    </section>
  );
}

function errorNote({ kind, at_ms }: NonNullable<SyncStatus['last_error']>): string {
  return at_ms === null ? kind : `${kind}, ${ago(deviceNow() - at_ms)}`;
}

function clockWords(offsetMs: number | null): string {
  if (offsetMs === null || offsetMs === undefined) return 'not compared yet';
  if (Math.abs(offsetMs) < 2_000) return 'agrees with the cloud';
  const side = offsetMs > 0 ? 'behind' : 'ahead of';
  return `${duration(Math.abs(offsetMs))} ${side} the cloud; corrected while signing`;
}

function Off() {
  const id = status.value?.device?.id ?? 'my-device';
  return (
    <>
      <section class="card sync-card" aria-label="State">
        <Picture state="off" queued={0} table={null} />
        <div class="sync-words" role="status">
          <h2>Replication is off</h2>
          <p>
            This device keeps its data to itself. Switched on, it keeps a DynamoDB table in your own
            AWS account in step with its database, both ways, and carries on by itself after every
            outage. No other cloud is involved.
          </p>
        </div>
      </section>
      <section class="card" aria-labelledby="switch-on">
        <h2 id="switch-on">Switch it on</h2>
        <ol class="steps">
          <li>
            <p>
              Make the table and the access rights with the template that comes with Periwinkle,{' '}
              <code>cloud/template.yaml</code>:
            </p>
            <pre>
              <code>{`aws cloudformation deploy --stack-name periwinkle \\
  --template-file cloud/template.yaml --capabilities CAPABILITY_NAMED_IAM`}</code>
            </pre>
          </li>
          <li>
            <p>
              Name the table in <code>periwinkle.toml</code>:
            </p>
            <pre>
              <code>{`[device]\nid = "${id}"\n\n[sync]\nenable = true\ntable = "periwinkle"\nregion = "eu-central-1"`}</code>
            </pre>
          </li>
          <li>
            <p>
              Give the agent credentials, in its environment (<code>AWS_ACCESS_KEY_ID</code>,{' '}
              <code>AWS_SECRET_ACCESS_KEY</code>) or in a credentials file, and start it again. This
              page then shows what happens.
            </p>
          </li>
        </ol>
      </section>
    </>
  );
}

/** Renders again so that ages and countdowns move. */
function useTick(ms: number): void {
  const [, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTurn((turn) => turn + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}
