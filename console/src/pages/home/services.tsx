import type { Service, ServiceState } from '../../api/types';
import { ago, several } from '../../format';
import { deviceNow } from '../../state/device';
import { Loading, Pill } from '../../ui/basics';

const MOODS: Record<ServiceState, 'good' | 'busy' | 'quiet' | 'bad'> = {
  running: 'good',
  backoff: 'busy',
  stopped: 'quiet',
  failed: 'bad',
};

const WORDS: Record<ServiceState, string> = {
  running: 'Running',
  backoff: 'Restarting',
  stopped: 'Stopped',
  failed: 'Failed',
};

export function Services({ services }: { services: Service[] | null }) {
  return (
    <section class="card" aria-labelledby="services-title">
      <h2 id="services-title">Services</h2>
      {services === null && <Loading what="the services" />}
      {services && (
        <ul class="services">
          {services.map((service) => (
            <li key={service.name}>
              <div>
                <strong>{service.name}</strong>
                <Pill mood={MOODS[service.state] ?? 'quiet'}>{WORDS[service.state] ?? service.state}</Pill>
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

function history({ since_ms, restarts }: Service): string {
  const changed = ago(deviceNow() - since_ms);
  return restarts === 0 ? changed : `${changed}, ${several(restarts, 'restart')}`;
}
