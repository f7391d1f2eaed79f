// An invented small device: four cores, 2 GiB, a sensor of temperature, a working day.

const GIB = 1024 ** 3;
const RING = 900;

export class Measurements {
  constructor() {
    this.ring = [];
    this.step = 0;
    const start = Date.now() - RING * 1000;
    for (let index = 0; index < RING; index += 1)
      this.ring.push(this.#sample(start + index * 1000));
  }

  next() {
    const sample = this.#sample(Date.now());
    this.ring = [...this.ring.slice(1), sample];
    return sample;
  }

  #sample(at_ms) {
    const t = this.step++;
    const burst = t % 140 < 18 ? 45 : 0;
    const cores = [0, 1, 2, 3].map((core) =>
      clamp(
        6 + burst * (core < 2 ? 1 : 0.35) + wave(t, 37 + core * 11) * 7 + noise(t * 7 + core) * 9,
      ),
    );
    const cpu_pct = cores.reduce((sum, core) => sum + core, 0) / 4;
    return {
      at_ms,
      cpu_pct,
      load1: 0.42 + cpu_pct / 60 + wave(t, 120) * 0.12,
      mem_used_bytes: Math.round(0.71 * GIB + wave(t, 300) * 0.06 * GIB + burst * 1.6e6),
      mem_total_bytes: 2 * GIB,
      disk_used_bytes: Math.round(5.2 * GIB + t * 1500),
      disk_total_bytes: Math.round(14.6 * GIB),
      net_rx_bps: Math.round(18_000 + burst * 9_000 + noise(t) * 16_000),
      net_tx_bps: Math.round(6_500 + burst * 2_000 + noise(t + 5000) * 7_000),
      temp_c: Math.round((46 + cpu_pct / 7 + wave(t, 200) * 1.5) * 10) / 10,
      uptime_s: 412_345 + t,
      cores,
    };
  }
}

function wave(t, period) {
  return Math.sin((t / period) * 2 * Math.PI);
}

/** The same noise in every run, so that screenshots can be compared. */
function noise(t) {
  const x = Math.sin(t * 12.9898) * 43758.5453;
  return x - Math.floor(x);
}

function clamp(percent) {
  return Math.min(100, Math.max(0, percent));
}
