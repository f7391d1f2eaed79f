import { bytes, count, several, text } from '../../format';
import { status, sync, troubles } from '../../state/device';
import { Link, Loading, Notice, Pill } from '../../ui/basics';
import { syncExplanation, syncMood, syncTitle } from '../sync-words';

/** What is kept here, and whether the cloud has it too. */
export function DatabaseCard() {
  const db = status.value?.db;
  const replication = sync.value;
  const trouble = troubles.value.status;
  return (
    <section class="card" aria-labelledby="database-title">
      <h2 id="database-title">Data on this device</h2>
      {!db && (trouble ? <p class="muted">{trouble}</p> : <Loading what="the database" />)}
      {db?.failure && (
        <Notice mood="bad" title="Nothing can be written at the moment.">
          <p>{db.failure}</p>
        </Notice>
      )}
      {db && (
        <dl class="facts">
          <Fact name="Rows">{count(db.rows)}</Fact>
          <Fact name="On disk">
            {`${text(bytes(db.bytes))} in ${several(db.segments, 'segment')}`}
          </Fact>
          <Fact name="Safe from a power cut">
            {db.sequence === db.durable_sequence
              ? 'everything'
              : `all but the last ${several(db.sequence - db.durable_sequence, 'change')}`}
          </Fact>
          {Object.entries(db.dropped ?? {}).map(([model, rows]) => (
            <Fact key={model} name={`Oldest ${model} rows dropped`}>
              {count(rows)}
            </Fact>
          ))}
        </dl>
      )}
      {replication && (
        <div class="card-foot">
          <p>
            <Pill mood={syncMood(replication)}>{syncTitle(replication)}</Pill>
          </p>
          <p class="muted">{syncExplanation(replication)}</p>
          <Link to="/replication" class="more">
            Replication
          </Link>
        </div>
      )}
    </section>
  );
}

export function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
