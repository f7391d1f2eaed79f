// Line icons of 20 units, drawn for this console.

const SHAPES = {
  home: 'M3 9.5 10 3.5l7 6M5 8.5V16.5h10V8.5M8.5 16.5v-4h3v4',
  data: 'M4 5c0-1.4 2.7-2.2 6-2.2s6 .8 6 2.2-2.7 2.2-6 2.2S4 6.4 4 5ZM4 5v10c0 1.4 2.7 2.2 6 2.200s6-.8 6-2.200V5M4 10c0 1.4 2.7 2.2 6 2.200s6-.8 6-2.2',
  cloud: 'M6 15.500h8.300a3.2 3.2 0 0 0 .4-6.400A4.7 4.7 0 0 0 5.7 8 3.8 3.8 0 0 0 6 15.500Z',
  upload: 'M10 13V4M6.5 7.500 10 4l3.5 3.500M4 12.500v4h12v-4',
  users:
    'M7.5 9.500a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.400ZM2.5 16c0-2.6 2.2-4.3 5-4.300s5 1.7 5 4.300M13 4.500a2.5 2.5 0 0 1 0 4.800M14.5 12c1.9.5 3 2 3 4',
  sun: 'M10 13.200a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.400ZM10 2.500v1.600M10 15.900v1.600M2.5 10h1.600M15.9 10h1.600M4.7 4.700l1.1 1.100M14.2 14.200l1.1 1.100M4.7 15.300l1.1-1.100M14.2 5.800l1.1-1.1',
  moon: 'M16.5 11.800A6.8 6.8 0 0 1 8.2 3.500a6.8 6.8 0 1 0 8.3 8.300Z',
  close: 'M5 5l10 10M15 5 5 15',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 14a5 5 0 1 0 0-10 5 5 0 0 0 0 10ZM12.8 12.8 17 17',
  left: 'M12 4.5 6.5 10l5.5 5.5',
  right: 'M8 4.5 13.5 10 8 15.5',
  sort: 'M6 4v12M6 16l-2.5-2.500M6 16l2.5-2.500M14 16V4M14 4l-2.5 2.500M14 4l2.5 2.5',
  trash: 'M4 6h12M8 6V4h4v2M5.5 6l.7 10.500h7.600L14.5 6M8.5 9v4.500M11.5 9v4.5',
  pencil: 'M4 16l.8-3.400L13.5 4l2.5 2.5-8.6 8.700L4 16ZM12 5.500l2.5 2.5',
  eye: 'M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5ZM10 12.200a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.400Z',
  key: 'M7 13.500a3.5 3.5 0 1 1 3.3-4.700H17v2.700h-2v2h-2.700v-2h-2A3.5 3.5 0 0 1 7 13.500Z',
  leave: 'M8 4H4.500v12H8M12 6.500l3.5 3.5-3.5 3.500M15.5 10H8',
  retry: 'M16 10a6 6 0 1 1-1.8-4.300M16 3v3.500h-3.5',
  alert: 'M10 3 2.5 16.500h15L10 3ZM10 8v4M10 14.300v.2',
  info: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM10 9.200V13.500M10 6.500v.2',
  check: 'M4 10.5 8 14.5 16 5.5',
  device:
    'M4 5.500h12v9H4zM7.5 9h5v2h-5zM7 5.500V3.500M10 5.500V3.500M13 5.500V3.500M7 16.500v-2M10 16.500v-2M13 16.500v-2',
} satisfies Record<string, string>;

export type IconName = keyof typeof SHAPES;

/** Always beside words or inside a control that has a label, so never read out itself. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <path d={SHAPES[name]} />
    </svg>
  );
}
