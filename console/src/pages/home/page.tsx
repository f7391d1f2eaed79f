// Home: is this device well, and what is it doing right now?

import { type ComponentType } from 'preact';
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { samples, status, troubles } from '../../state/device';
import { Notice } from '../../ui/basics';
import { DatabaseCard } from './database';
import { Hero } from './hero';
import { Services } from './services';
import { Tiles } from './tiles';

const Charts = signal<ComponentType | null>(null);
const chartsMissing = signal(false);

export function HomePage() {
  useEffect(loadCharts, []);
  return (
    <div class="page home">
      <Hero />
      <Tiles />
      {chartsMissing.value && (
        <Notice mood="bad" title="The charts could not be loaded.">
          <p>Load the page again once the device answers.</p>
        </Notice>
      )}
      {Charts.value && samples.value.length > 0 && <Charts.value />}
      <div class="columns">
        <Services services={status.value?.services ?? null} trouble={troubles.value.status} />
        <DatabaseCard />
      </div>
    </div>
  );
}

function loadCharts(): void {
  if (Charts.value) return;
  import('./charts').then(
    (chunk) => {
      Charts.value = chunk.Charts;
      chartsMissing.value = false;
    },
    () => (chartsMissing.value = true),
  );
}
