// One row: read it, change it, remove it, or make a new one.

import { useEffect, useRef, useState } from 'preact/hooks';
import { call, dataPath, Problem, wordsOf } from '../../api/client';
import { sameValue, stringifyExact } from '../../api/numbers';
import type { Change, Item, Model } from '../../api/types';
import { onChange } from '../../state/device';
import { Button, Failure, Loading, Notice } from '../../ui/basics';
import { Confirm, Dialog } from '../../ui/dialog';
import { useLoad } from '../../ui/load';
import { toast } from '../../ui/toasts';
import { FieldInput, FieldValue } from './field-input';
import {
  draftOf,
  type Drafts,
  draftsOf,
  type FieldProblem,
  formFields,
  newItem,
  otherAttributes,
  patchOf,
} from './fields';
import { keyText } from './live';

interface DrawerProps {
  model: Model;
  /** null: a new row. */
  itemKey: string[] | null;
  writable: boolean;
  onClose: () => void;
}

export function ItemDrawer({ model, itemKey, writable, onClose }: DrawerProps) {
  if (itemKey === null) {
    return (
      <Dialog side title={`New ${model.name}`} onClose={onClose}>
        <NewItem model={model} onClose={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog
      side
      title={<span class="drawer-key">{itemKey.join(' · ') || model.name}</span>}
      onClose={onClose}
    >
      <OneItem model={model} itemKey={itemKey} writable={writable} onClose={onClose} />
    </Dialog>
  );
}

function NewItem({ model, onClose }: { model: Model; onClose: () => void }) {
  const fields = formFields(model);
  const [drafts, setDrafts] = useState<Drafts>(() =>
    Object.fromEntries(fields.map((field) => [field.name, draftOf(field, field.default)])),
  );
  const save = useSave();
  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const { item, problems } = newItem(fields, drafts);
    const done = await save.run(problems, () => call('POST', dataPath(model.name), item));
    if (!done) return;
    toast(`The ${model.name} row is made.`);
    onClose();
  }
  return (
    <form class="stack" noValidate onSubmit={(event) => void submit(event)}>
      {save.error && <Notice mood="bad">{save.error}</Notice>}
      {fields.map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          draft={drafts[field.name] ?? ''}
          creating
          error={save.wordsFor(field.name)}
          onDraft={(text) => setDrafts({ ...drafts, [field.name]: text })}
        />
      ))}
      <div class="actions sticky">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" busy={save.busy}>
          Create
        </Button>
      </div>
    </form>
  );
}

function OneItem({
  model,
  itemKey,
  writable,
  onClose,
}: {
  model: Model;
  itemKey: string[];
  writable: boolean;
  onClose: () => void;
}) {
  const path = dataPath(model.name, itemKey);
  const loaded = useLoad(path, () => call<Item>('GET', path));
  const [latest, setLatest] = useState<Change | null>(null);
  const current = useRef(loaded.value);
  current.current = loaded.value;
  // The echo of a save made here is no news; it comes before or after the answer to the save.
  const saving = useRef(false);
  useEffect(
    () =>
      onChange((change) => {
        if (change.model !== model.name || keyText(change.key) !== keyText(itemKey)) return;
        const own =
          change.origin === 'local' && (saving.current || sameValue(change.item, current.current));
        setLatest(own ? null : change);
        if (change.type === 'put' && change.item) loaded.set(() => change.item as Item);
      }),
    [path],
  );
  if (loaded.error) return <Failure what="This row" words={loaded.error} retry={loaded.reload} />;
  if (!loaded.value) return <Loading rows={5} what="the row" />;
  return (
    <div class="stack">
      {latest && <LatestChange change={latest} />}
      {writable ? (
        <EditItem
          model={model}
          item={loaded.value}
          path={path}
          gone={latest?.type === 'remove'}
          saving={saving}
          onClose={onClose}
          onSaved={(item) => loaded.set(() => item)}
        />
      ) : (
        <dl class="values">
          {formFields(model).map((field) => (
            <FieldValue key={field.name} field={field} value={loaded.value?.[field.name]} />
          ))}
        </dl>
      )}
      <OtherAttributes model={model} item={loaded.value} />
    </div>
  );
}

function LatestChange({ change }: { change: Change }) {
  const where = change.origin === 'cloud' ? 'the cloud' : 'this device';
  return change.type === 'remove' ? (
    <Notice mood="busy" title={`This row was removed by ${where}.`} />
  ) : (
    <Notice mood="info">
      {`Just changed by ${where}. What you have not touched shows the new values.`}
    </Notice>
  );
}

interface EditProps {
  model: Model;
  item: Item;
  path: string;
  gone: boolean;
  saving: { current: boolean };
  onClose: () => void;
  onSaved: (item: Item) => void;
}

function EditItem({ model, item, path, gone, saving, onClose, onSaved }: EditProps) {
  const fields = formFields(model);
  // Only what the person typed is kept; every other field follows the item as it changes.
  const [edits, setEdits] = useState<Drafts>({});
  const drafts = { ...draftsOf(fields, item), ...edits };
  const [removing, setRemoving] = useState(false);
  const save = useSave();
  const { patch, problems } = patchOf(fields, item, drafts);
  const touched = Object.keys(patch).length > 0 || problems.length > 0;

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    saving.current = true;
    const done = await save.run(problems, async () => {
      const answer = await call<Item | undefined>('PATCH', path, patch);
      onSaved(answer ?? (await call<Item>('GET', path)));
      setEdits({});
    });
    saving.current = false;
    if (done) toast('Saved.');
  }

  return (
    <form class="stack" noValidate onSubmit={(event) => void submit(event)}>
      {save.error && <Notice mood="bad">{save.error}</Notice>}
      {fields.map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          draft={drafts[field.name] ?? ''}
          locked={model.keys.includes(field.name) || field.readonly === true}
          error={save.wordsFor(field.name)}
          onDraft={(text) => setEdits({ ...edits, [field.name]: text })}
        />
      ))}
      <div class="actions sticky">
        <Button
          look="ghost"
          icon="trash"
          class="button ghost danger-text"
          disabled={gone}
          onClick={() => setRemoving(true)}
        >
          Delete
        </Button>
        <span class="spacer" />
        <Button disabled={!touched} onClick={() => setEdits({})}>
          Undo
        </Button>
        <Button type="submit" look="primary" disabled={!touched || gone} busy={save.busy}>
          Save
        </Button>
      </div>
      {removing && (
        <Confirm
          title="Delete this row?"
          action="Delete"
          onClose={() => setRemoving(false)}
          onConfirm={async () => {
            await call('DELETE', path);
            toast('The row is deleted.');
            onClose();
          }}
        >
          <p>
            {model.sync === 'none'
              ? 'It cannot be brought back.'
              : 'It is removed here and in the cloud, and cannot be brought back.'}
          </p>
        </Confirm>
      )}
    </form>
  );
}

function OtherAttributes({ model, item }: { model: Model; item: Item }) {
  const others = otherAttributes(model, item);
  if (others.length === 0) return null;
  return (
    <details class="help">
      <summary>Also stored with this row</summary>
      <dl class="values compact">
        {others.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="mono">{typeof value === 'string' ? value : stringifyExact(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

interface Save {
  busy: boolean;
  error: string;
  wordsFor: (field: string) => string | undefined;
  run: (problems: FieldProblem[], send: () => Promise<unknown>) => Promise<boolean>;
}

/** Sends once the form is right; puts a refusal beside the field that it is about. */
function useSave(): Save {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [wrong, setWrong] = useState<FieldProblem[]>([]);
  async function run(problems: FieldProblem[], send: () => Promise<unknown>): Promise<boolean> {
    setWrong(problems);
    setError('');
    if (problems.length > 0) return false;
    setBusy(true);
    try {
      await send();
      return true;
    } catch (problem) {
      if (problem instanceof Problem && problem.field)
        setWrong([{ field: problem.field, words: problem.words }]);
      else setError(wordsOf(problem));
      return false;
    } finally {
      setBusy(false);
    }
  }
  const wordsFor = (field: string) => wrong.find((one) => one.field === field)?.words;
  return { busy, error, wordsFor, run };
}
