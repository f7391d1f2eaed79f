// The rows as a table. A row that has just changed glows for a moment and says where the change
// came from.

import type { Field, Item, Model } from '../../api/types';
import { dataAddress, go } from '../../state/route';
import { Link, Pill } from '../../ui/basics';
import { keyOf, shown, tableFields } from './fields';
import { keyText } from './live';

export interface Mark {
  origin: 'local' | 'cloud';
  type: 'put' | 'remove';
  /** How often this row changed while the page was open; makes the glow start again. */
  turn: number;
}

export function Table({
  model,
  items,
  marks,
}: {
  model: Model;
  items: Item[];
  marks: Map<string, Mark>;
}) {
  const columns = tableFields(model);
  return (
    <div class="card table-box" role="region" aria-label={`Rows of ${model.name}`} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map(({ name, type }) => (
              <th key={name} scope="col" class={type === 'number' ? 'number' : undefined}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => {
            const key = keyOf(model, item);
            return (
              <Row
                key={keyText(key)}
                model={model}
                item={item}
                itemKey={key}
                columns={columns}
                mark={marks.get(keyText(key))}
              />
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  model: Model;
  item: Item;
  itemKey: string[];
  columns: Field[];
  mark: Mark | undefined;
}

function Row({ model, item, itemKey, columns, mark }: RowProps) {
  const address = dataAddress(model.name, itemKey);
  return (
    <tr class={classOf(mark)} onClick={() => getSelection()?.isCollapsed !== false && go(address)}>
      {columns.map((field, index) => (
        <Cell
          key={field.name}
          field={field}
          value={item[field.name]}
          {...(index === 0 ? { to: address, mark } : {})}
        />
      ))}
    </tr>
  );
}

interface CellProps {
  field: Field;
  value: unknown;
  /** Only the first cell names its row, leads to it and says where its latest change came from. */
  to?: string;
  mark?: Mark | undefined;
}

function Cell({ field, value, to, mark }: CellProps) {
  const text = shown(field, value);
  if (to !== undefined) {
    return (
      <th scope="row">
        <Link to={to}>{text || '(empty)'}</Link>
        {mark && <Origin mark={mark} />}
      </th>
    );
  }
  return (
    <td class={field.type === 'number' ? 'number' : undefined}>
      {text || <span class="unset">–</span>}
    </td>
  );
}

function Origin({ mark }: { mark: Mark }) {
  const where = mark.origin === 'cloud' ? 'cloud' : 'this device';
  return (
    <Pill mood={mark.origin === 'cloud' ? 'accent' : 'quiet'}>
      {mark.type === 'remove' ? `removed, ${where}` : where}
    </Pill>
  );
}

/** Two names for the same glow, used in turns, start it again without replacing the row. */
function classOf(mark: Mark | undefined): string {
  if (!mark) return '';
  if (mark.type === 'remove') return 'leaving';
  return `glow-${mark.turn % 2} from-${mark.origin}`;
}
