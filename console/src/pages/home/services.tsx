import type { Service, ServiceState } from '../../api/types';
import { ago, duration, several } from '../../format';
import { agentUptimeMs } from '../../state/device';
import { Loading, Pill } from '../../ui/basics';

const MOODS: Record<ServiceState, 'good' | 'busy' | 'quiet' | 'bad'> = {
  starting: 'quiet',
  running: 'good',
  backoff: 'busy',
  stopped: 'quiet',
  failed: 'bad',
};

const WORDS: Record<ServiceState, string> = {
  starting: 'Starting',
  running: 'Running',
  backoff: 'Restarting',
  stopped: 'Stopped',
  failed: 'Failed',
};

export function Services({
  services,
  trouble,
}: {
  services: Service[] | null;
  trouble: string | undefined;
}) {
  return (
    <section class="card" aria-labelledby="services-title">
      <h2 id="services-title">Services</h2>
      {services === null &&
        (trouble ? <p class="muted">{trouble}</p> : <Loading what="the services" />)}
      {services && (
        <ul class="services">
          {services.map((service) => (
            <li key={service.name}>
              <div>
                <strong>{service.name}</strong>
                <Pill mood={MOODS[service.state] ?? 'quiet'}>
                  {WORDS[service.state] ?? service.state}
                </Pill>
              </div>
              <p class="muted">{history(service)}</p>
              {service.error && <p class="field-error">{service.error}</p>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function history({ state, since_ms, restarts }: Service): string {
  const age = agentUptimeMs() - since_ms;
  const since = state === 'running' ? `for ${duration(age)}` : ago(age);
  return restarts === 0 ? since : `${since}, ${several(restarts, 'restart')}`;
}
