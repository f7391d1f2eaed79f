// The small pieces that every page is made of.

import type { AnchorHTMLAttributes, ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import { go } from '../state/route';
import { Icon, type IconName } from './icons';

type LinkProps = { to: string } & Omit<AnchorHTMLAttributes, 'href' | 'role' | 'onClick'>;

export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a href={to} {...rest} onClick={(event) => followed(event) && go(to)}>
      {children}
    </a>
  );
}

/** A plain click stays in the page; one with a modifier means a new tab. */
function followed(event: MouseEvent): boolean {
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return false;
  event.preventDefault();
  return true;
}

interface ButtonProps extends ButtonHTMLAttributes {
  look?: 'primary' | 'plain' | 'danger' | 'ghost';
  icon?: IconName;
  busy?: boolean;
  disabled?: boolean;
}

export function Button({ look = 'plain', icon, busy, disabled, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      class={`button ${look}`}
      disabled={disabled || busy}
      aria-busy={busy ? 'true' : undefined}
      {...rest}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

export function IconButton({
  icon,
  label,
  ...rest
}: { icon: IconName; label: string } & ButtonHTMLAttributes) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

interface TextFieldProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  hint?: ComponentChildren;
  error?: string | undefined;
  type?: 'text' | 'password';
  autocomplete?: string;
  autofocus?: boolean;
  required?: boolean;
  minLength?: number;
  maxLength?: number;
  mono?: boolean;
}

export function TextField({
  label,
  value,
  onValue,
  hint,
  error,
  type = 'text',
  autofocus,
  mono,
  ...rest
}: TextFieldProps) {
  const id = useId();
  const [visible, setVisible] = useState(false);
  const secret = type === 'password';
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-row">
        <input
          {...rest}
          id={id}
          class={mono ? 'mono' : undefined}
          type={(secret && !visible ? 'password' : 'text') as 'text'}
          value={value}
          ref={autofocus ? focusOnce : null}
          autocapitalize="none"
          spellcheck={false}
          aria-invalid={error ? 'true' : undefined}
          aria-describedby={hint || error ? `${id}-hint` : undefined}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
        {secret && (
          <button
            type="button"
            class="icon-button inside"
            aria-label="Show the characters"
            aria-controls={id}
            aria-pressed={visible}
            onClick={() => setVisible(!visible)}
          >
            <Icon name="eye" />
          </button>
        )}
      </div>
      <FieldNote id={`${id}-hint`} hint={hint} error={error} />
    </div>
  );
}

export function FieldNote({
  id,
  hint,
  error,
}: {
  id: string;
  hint?: ComponentChildren;
  error?: string | undefined;
}) {
  if (error) {
    return (
      <p id={id} class="field-error">
        <Icon name="alert" />
        {error}
      </p>
    );
  }
  return hint ? (
    <p id={id} class="field-hint">
      {hint}
    </p>
  ) : null;
}

function focusOnce(element: HTMLElement | null): void {
  if (element && !element.dataset.focused) {
    element.dataset.focused = 'yes';
    element.focus();
  }
}

export function Notice({
  mood,
  title,
  children,
}: {
  mood: 'info' | 'good' | 'busy' | 'bad';
  title?: string;
  children?: ComponentChildren;
}) {
  return (
    <div class={`notice ${mood}`} role={mood === 'bad' ? 'alert' : 'status'}>
      <Icon name={mood === 'info' ? 'info' : mood === 'good' ? 'check' : 'alert'} />
      <div>
        {title && <strong>{title}</strong>}
        {children}
      </div>
    </div>
  );
}

export function Pill({
  mood = 'quiet',
  children,
}: {
  mood?: 'quiet' | 'good' | 'busy' | 'bad' | 'accent';
  children: ComponentChildren;
}) {
  return <span class={`pill ${mood}`}>{children}</span>;
}

export function Empty({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} />
      </span>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

const PATIENCE_MS = 20_000;

/** Grey lines in the place of what is being read; they do not pretend for ever. */
export function Loading({ rows = 3, what }: { rows?: number; what: string }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  if (late) return <p class="muted">{`Still nothing to show for ${what}.`}</p>;
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">{`Reading ${what}`}</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} class="loading-line" />
      ))}
    </div>
  );
}

export function Failure({
  what,
  words,
  retry,
}: {
  what: string;
  words: string;
  retry: () => void;
}) {
  return (
    <div class="failure">
      <Notice mood="bad" title={`${what} could not be read.`}>
        <p>{words}</p>
      </Notice>
      <Button icon="retry" onClick={retry}>
        Try again
      </Button>
    </div>
  );
}
