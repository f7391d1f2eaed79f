// One field of a row: as an input of its type, or as text for those who may only look.

import { useId } from 'preact/hooks';
import { stringifyExact } from '../../api/numbers';
import type { Field } from '../../api/types';
import { FieldNote } from '../../ui/basics';
import { fillsItself, shown } from './fields';

interface InputProps {
  field: Field;
  draft: string;
  onDraft: (text: string) => void;
  error?: string | undefined;
  locked?: boolean;
  creating?: boolean;
}

const LONG_CHARS = 60;

export function FieldInput({
  field,
  draft,
  onDraft,
  error,
  locked = false,
  creating = false,
}: InputProps) {
  const id = useId();
  const hint = hintOf(field, locked, creating);
  const common = {
    id,
    'aria-invalid': error ? ('true' as const) : undefined,
    'aria-describedby': hint || error ? `${id}-hint` : undefined,
  };
  return (
    <div class="field">
      <label for={id}>
        {field.name}
        <span class="type">{field.type}</span>
      </label>
      <Control field={field} draft={draft} onDraft={onDraft} locked={locked} common={common} />
      <FieldNote id={`${id}-hint`} hint={hint} error={error} />
    </div>
  );
}

interface ControlProps {
  field: Field;
  draft: string;
  onDraft: (text: string) => void;
  locked: boolean;
  common: { id: string };
}

function Control({ field, draft, onDraft, locked, common }: ControlProps) {
  const typed = (event: { currentTarget: { value: string } }) => onDraft(event.currentTarget.value);
  const choices = choicesOf(field);
  if (locked) return <input {...common} class="mono" value={draft} readOnly />;
  if (choices) {
    return (
      <select {...common} value={draft} onChange={typed}>
        {(!field.required || draft === '') && <option value="">not set</option>}
        {draft !== '' && !choices.includes(draft) && <option value={draft}>{draft}</option>}
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  }
  if (field.type === 'date') {
    return <input {...common} type="datetime-local" step="0.001" value={draft} onInput={typed} />;
  }
  if (isLong(field, draft)) {
    const code = field.type !== 'string';
    return (
      <textarea
        {...common}
        class={code ? 'mono' : undefined}
        rows={rowsFor(draft)}
        spellcheck={!code}
        value={draft}
        onInput={typed}
      />
    );
  }
  return (
    <input
      {...common}
      class={field.type === 'string' ? undefined : 'mono'}
      inputMode={field.type === 'number' ? 'decimal' : undefined}
      autocapitalize="none"
      spellcheck={false}
      placeholder={field.required ? undefined : 'not set'}
      value={draft}
      onInput={typed}
    />
  );
}

function choicesOf(field: Field): string[] | null {
  if (field.type === 'boolean') return ['true', 'false'];
  return field.enum && field.enum.length > 0 ? field.enum.map(String) : null;
}

function isLong(field: Field, draft: string): boolean {
  return (
    ['array', 'object', 'set'].includes(field.type) ||
    draft.length > LONG_CHARS ||
    draft.includes('\n')
  );
}

function rowsFor(draft: string): number {
  return Math.min(14, Math.max(3, draft.split('\n').length));
}

function hintOf(field: Field, locked: boolean, creating: boolean): string {
  if (locked) return '';
  if (creating && fillsItself(field)) return 'Left empty, the device chooses a value.';
  switch (field.type) {
    case 'array':
      return 'A list in JSON.';
    case 'object':
      return 'An object in JSON.';
    case 'set':
      return 'A list in JSON without repetitions, all of one kind.';
    case 'binary':
      return 'Bytes in base64.';
    case 'date':
      return 'In the time zone of this browser.';
    default:
      return '';
  }
}

export function FieldValue({ field, value }: { field: Field; value: unknown }) {
  const structured =
    typeof value === 'object' && value !== null && ['array', 'object', 'set'].includes(field.type);
  return (
    <div>
      <dt>
        {field.name}
        <span class="type">{field.type}</span>
      </dt>
      <dd>
        {structured ? (
          <pre>{stringifyExact(value, 2)}</pre>
        ) : (
          whole(field, value) || <span class="unset">not set</span>
        )}
      </dd>
    </div>
  );
}

function whole(field: Field, value: unknown): string {
  return field.type === 'string' && typeof value === 'string' ? value : shown(field, value);
}
