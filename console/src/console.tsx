// What a signed-in person sees: navigation around one of the pages.

import { useEffect, useRef } from 'preact/hooks';
import { type Place, place } from './state/route';
import { followDevice, status, sync } from './state/device';
import { isOwner } from './state/session';
import { AccountMenu } from './account';
import { DataPage } from './pages/data/page';
import { HomePage } from './pages/home/page';
import { ReplicationPage } from './pages/replication';
import { UploadsPage } from './pages/uploads';
import { UsersPage } from './pages/users';
import { Empty, Link } from './ui/basics';
import { Logo } from './ui/flower';
import { Icon, type IconName } from './ui/icons';
import { LinkBanner } from './ui/link-banner';
import { ThemeToggle } from './ui/theme-toggle';
import { Toasts } from './ui/toasts';

interface Target {
  page: Place['page'];
  to: string;
  label: string;
  icon: IconName;
}

const TARGETS: Target[] = [
  { page: 'home', to: '/', label: 'Home', icon: 'home' },
  { page: 'data', to: '/data', label: 'Data', icon: 'data' },
  { page: 'replication', to: '/replication', label: 'Replication', icon: 'cloud' },
  { page: 'uploads', to: '/uploads', label: 'Uploads', icon: 'upload' },
  { page: 'users', to: '/users', label: 'Users', icon: 'users' },
];

export function Console() {
  useEffect(followDevice, []);
  const { page } = place.value;
  const label = TARGETS.find((target) => target.page === page)?.label ?? 'Not found';
  const device = status.value?.device?.name;
  useEffect(() => {
    document.title = `${label} · ${device ?? 'Periwinkle'}`;
  }, [label, device]);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    // A new page starts at its top, for the eye and for a screen reader.
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    first.current = false;
  }, [page]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="bar">
        <Link to="/" class="brand" aria-label="Periwinkle, home">
          <Logo />
          <span>Periwinkle</span>
        </Link>
        <Navigation page={page} />
        <div class="bar-end">
          <ThemeToggle />
          <AccountMenu />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <LinkBanner />
        <Page page={page} />
      </main>
      <Toasts />
    </div>
  );
}

function Navigation({ page }: { page: Place['page'] }) {
  const shown = TARGETS.filter((target) => target.page !== 'users' || isOwner.value);
  return (
    <nav class="nav" aria-label="Pages">
      {shown.map((target) => (
        <Link
          key={target.page}
          to={target.to}
          aria-current={target.page === page ? 'page' : undefined}
        >
          <Icon name={target.icon} />
          <span>{target.label}</span>
          {target.page === 'replication' && <SyncDot />}
        </Link>
      ))}
    </nav>
  );
}

/** A mark beside "Replication" when it needs somebody. */
function SyncDot() {
  const state = sync.value?.state;
  const parked = sync.value?.parked.length ?? 0;
  if (state !== 'failed' && state !== 'paused' && parked === 0) return null;
  return (
    <i class="nav-dot">
      <span class="visually-hidden">needs attention</span>
    </i>
  );
}

function Page({ page }: { page: Place['page'] }) {
  switch (page) {
    case 'home':
      return <HomePage />;
    case 'data':
      return <DataPage />;
    case 'replication':
      return <ReplicationPage />;
    case 'uploads':
      return <UploadsPage />;
    case 'users':
      return <UsersPage />;
    case 'unknown':
      return (
        <Empty icon="search" title="There is no such page">
          <p>The address may be mistyped, or from another version of the console.</p>
          <Link to="/" class="button primary">
            Go home
          </Link>
        </Empty>
      );
  }
}
