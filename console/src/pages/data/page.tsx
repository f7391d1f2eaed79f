// The data browser: models on one side, rows of the chosen one, and a drawer for one row.

import { useEffect } from 'preact/hooks';
import { call } from '../../api/client';
import type { Model } from '../../api/types';
import { dataAddress, go, place } from '../../state/route';
import { Empty, Failure, Link, Loading } from '../../ui/basics';
import { useLoad } from '../../ui/load';
import { DIRECTION } from './direction';
import { Rows } from './rows';

export function DataPage() {
  const models = useLoad('models', () =>
    call<{ models: Model[] }>('GET', 'models').then((answer) => answer.models),
  );
  const wanted = place.value.rest[0];
  const first = models.value?.[0]?.name;
  useEffect(() => {
    if (wanted === undefined && first !== undefined) go(dataAddress(first), 'replace');
  }, [wanted, first]);

  if (models.error) return <Failure what="The models" words={models.error} retry={models.reload} />;
  if (!models.value) return <Loading rows={6} what="the models" />;
  if (models.value.length === 0) {
    return (
      <Empty icon="data" title="No models">
        <p>The schema of this device declares nothing to show here.</p>
      </Empty>
    );
  }
  const model = models.value.find(({ name }) => name === wanted);
  return (
    <div class="page data">
      <Models models={models.value} current={wanted} />
      {model && <Rows key={model.name} model={model} />}
      {!model && wanted !== undefined && (
        <Empty icon="search" title={`There is no model “${wanted}”`}>
          <p>Choose one of those that the schema declares.</p>
        </Empty>
      )}
    </div>
  );
}

function Models({ models, current }: { models: Model[]; current: string | undefined }) {
  return (
    <nav class="models" aria-label="Models">
      {models.map(({ name, sync }) => (
        <Link
          key={name}
          to={dataAddress(name)}
          aria-current={name === current ? 'page' : undefined}
        >
          <strong>{name}</strong>
          <span>{DIRECTION[sync].short}</span>
        </Link>
      ))}
    </nav>
  );
}
