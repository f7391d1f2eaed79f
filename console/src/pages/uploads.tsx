// Uploads to S3: what waits, what is on its way, what became of the rest, and why.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, Problem, wordsOf } from '../api/client';
import type { Upload, Uploads } from '../api/types';
import { ago, bytes, count, dateTime, percent, several, text } from '../format';
import { deviceNow, link, status } from '../state/device';
import { canEdit } from '../state/session';
import { Button, Empty, Failure, IconButton, Loading, Notice, Pill } from '../ui/basics';
import { type Counter, Counters } from '../ui/counters';
import { Confirm } from '../ui/dialog';
import { useLoad } from '../ui/load';
import { toast } from '../ui/toasts';
import { isQueued, queueWords, sentShare, uploadState } from './upload-words';

/** Of the queue, and of what has ended. */
const SHOWN_MAX = 50;
const READ_MS = 2_000;

export function UploadsPage() {
  const uploads = useLoad('uploads', readUploads);
  useEvery(READ_MS, uploads.reload);
  const queue = uploads.value;
  return (
    <div class="page uploads">
      <header class="section-head">
        <h1>Uploads</h1>
        {queue && queue !== 'absent' && queue.queued_rows > 0 && (
          <TryNow onDone={uploads.reload} />
        )}
      </header>
      {!queue && !uploads.error && <Loading rows={5} what="the uploads" />}
      {!queue && uploads.error && (
        <Failure what="The uploads" words={uploads.error} retry={uploads.reload} />
      )}
      {queue === 'absent' && (
        <Notice mood="info" title="There are no uploads to show.">
          <p>This agent runs without them.</p>
        </Notice>
      )}
      {queue && queue !== 'absent' && !queue.enabled && <Off />}
      {queue && queue !== 'absent' && queue.enabled && <On queue={queue} onDone={uploads.reload} />}
    </div>
  );
}

async function readUploads(): Promise<Uploads | 'absent'> {
  try {
    return await call<Uploads>('GET', `uploads?ended=true&limit=${SHOWN_MAX}`);
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return 'absent';
    throw problem;
  }
}

function TryNow({ onDone }: { onDone: () => void }) {
  const [busy, setBusy] = useState(false);
  if (!canEdit.value) return null;
  async function retry(): Promise<void> {
    setBusy(true);
    try {
      await call('POST', 'uploads/retry');
      toast('Trying now.');
      onDone();
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

function On({ queue, onDone }: { queue: Uploads; onDone: () => void }) {
  const queued = queue.uploads.filter(isQueued);
  const ended = queue.uploads.filter((upload) => !isQueued(upload));
  const [title, words] = queueWords(queue);
  return (
    <>
      <section class="card sync-words" aria-label="State" role="status">
        <h2>
          {title} {queue.bucket && <Pill>{queue.bucket}</Pill>}
        </h2>
        <p>{words}</p>
      </section>
      <Numbers queue={queue} />
      <List title="In the queue" rows={queued} more={queue.queued_rows - queued.length}>
        {queued.length === 0 && (
          <Empty icon="upload" title="Nothing waits">
            <p>
              Files that a <code>[[upload.watch]]</code> names come here by themselves, others with{' '}
              <code>periwinkle upload put</code>.
            </p>
          </Empty>
        )}
        <Rows rows={queued} onDone={onDone} />
      </List>
      {ended.length > 0 && (
        <List title="Of late" rows={ended} more={0}>
          <Rows rows={ended} onDone={onDone} />
        </List>
      )}
    </>
  );
}

function Numbers({ queue }: { queue: Uploads }) {
  const gone = queue.lost + queue.expired + queue.aborted;
  const counters: Counter[] = [
    ['Waiting', count(queue.queued_rows), `${text(bytes(queue.queued_bytes))} kept as copies`],
    ['On the way', count(queue.sending), 'being sent now'],
    ['Uploaded', count(queue.done), `${text(bytes(queue.done_bytes))} since the agent started`],
    ['Tried in vain', count(queue.attempts_failed), 'attempts, since the agent started'],
    ['Not uploaded', count(gone), `${count(queue.refused)} more turned away: queue full`],
  ];
  return <Counters counters={counters} />;
}

function List({
  title,
  rows,
  more,
  children,
}: {
  title: string;
  rows: Upload[];
  more: number;
  children: ComponentChildren;
}) {
  return (
    <section class="card upload-card" aria-label={title}>
      <h2>{title}</h2>
      {children}
      {more > 0 && (
        <p class="muted">
          {`The first ${count(rows.length)}; ${count(more)} more wait behind them.`}
        </p>
      )}
    </section>
  );
}

function Rows({ rows, onDone }: { rows: Upload[]; onDone: () => void }) {
  const [asked, setAsked] = useState<Upload | null>(null);
  return (
    <>
      <ul class="upload-list">
        {rows.map((upload) => (
          <UploadRow key={upload.id} upload={upload} onAsk={setAsked} />
        ))}
      </ul>
      {asked && <Remove upload={asked} onClose={() => setAsked(null)} onDone={onDone} />}
    </>
  );
}

function UploadRow({ upload, onAsk }: { upload: Upload; onAsk: (upload: Upload) => void }) {
  const [mood, words] = uploadState(upload);
  const share = sentShare(upload);
  return (
    <li>
      <div class="upload-name">
        <strong class="mono">{upload.key}</strong> <Pill mood={mood}>{words}</Pill>
      </div>
      {isQueued(upload) && canEdit.value && (
        <IconButton
          icon="trash"
          label={`Remove ${upload.key} from the queue`}
          onClick={() => onAsk(upload)}
        />
      )}
      {share !== null && (
        <progress value={share} aria-label={`Sent of ${upload.key}`}>
          {text(percent(share * 100))}
        </progress>
      )}
      <p class="muted">{facts(upload).join(' · ')}</p>
      {upload.error && (
        <p class={upload.state === 'done' ? 'muted' : 'field-error'}>{upload.error}</p>
      )}
    </li>
  );
}

function facts(upload: Upload): string[] {
  const { state, sent, file, created_ms, ended_ms, attempts } = upload;
  const size = text(bytes(upload.bytes));
  const when = isQueued(upload) ? created_ms : ended_ms;
  const facts = [state === 'sending' ? `${text(bytes(sent))} of ${size}` : size];
  if (attempts > 0) facts.push(several(attempts, 'attempt in vain', 'attempts in vain'));
  // Times by a clock that nobody had confirmed are not told.
  if (when !== null) facts.push(`${isQueued(upload) ? 'taken ' : ''}${ago(deviceNow() - when)}`);
  if (file !== null) facts.push(file);
  return facts;
}

function Remove({
  upload,
  onClose,
  onDone,
}: {
  upload: Upload;
  onClose: () => void;
  onDone: () => void;
}) {
  return (
    <Confirm
      title="Remove this upload?"
      action="Remove"
      onClose={onClose}
      onConfirm={async () => {
        await call('DELETE', `uploads/${encodeURIComponent(upload.id)}`);
        toast('The upload is removed.');
        onDone();
      }}
    >
      <p class="mono">{upload.key}</p>
      <p>
        {'It is not sent any more, and what S3 has of it is removed there. '}
        {upload.file === null
          ? 'Its bytes are nowhere else: they are deleted on this device.'
          : 'The file stays where it is.'}
      </p>
      {upload.created_ms !== null && (
        <p class="muted">{`Taken ${dateTime(upload.created_ms)}.`}</p>
      )}
    </Confirm>
  );
}

function Off() {
  const id = status.value?.device?.id ?? 'my-device';
  return (
    <>
      <section class="card sync-words" aria-label="State" role="status">
        <h2>Uploads are off</h2>
        <p>
          Switched on, this device sends files to a bucket in your own AWS account: those that match
          a pattern, and those that programs hand over. They wait in a queue that survives restarts
          and power cuts, and large ones go on where they were cut.
        </p>
      </section>
      <section class="card" aria-labelledby="switch-on">
        <h2 id="switch-on">Switch them on</h2>
        <ol class="steps">
          <li>
            <p>
              Make the bucket and the access rights with the template that comes with Periwinkle,{' '}
              <code>cloud/template.yaml</code>.
            </p>
          </li>
          <li>
            <p>
              Name the bucket in <code>periwinkle.toml</code>, and what is to be uploaded:
            </p>
            <pre>
              <code>{`[device]\nid = "${id}"\n\n[upload]\nenable = true\nbucket = "my-bucket"\nregion = "eu-central-1"\n\n[[upload.watch]]\npattern = "/var/spool/camera/**/*.jpg"\nremove = true`}</code>
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

/** Reads again and again while somebody looks and the device is there. */
function useEvery(ms: number, read: () => void): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && link.value === 'live') read();
    }, ms);
    return () => clearInterval(timer);
  }, [ms, read]);
}
