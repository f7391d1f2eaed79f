// A row of tiles, each with a number and what it means.

/** The name, the number as text, and a note below it. */
export type Counter = [name: string, value: string, note: string];

export function Counters({ counters }: { counters: Counter[] }) {
  return (
    <section class="tiles numbers" aria-label="Counters">
      {counters.map(([name, value, note]) => (
        <div key={name} class="card tile">
          <h2>{name}</h2>
          <p class="tile-value" data-counter={name}>
            {value}
          </p>
          <p class="tile-note">{note}</p>
        </div>
      ))}
    </section>
  );
}
