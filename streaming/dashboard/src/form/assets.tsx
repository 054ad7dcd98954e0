/** Limits, holdings, benchmark and costs of single symbols; and groups of symbols. */
import { useCell } from "../cell";
import { FieldError, idOf } from "./field";
import {
  ASSET_COLUMNS,
  type AssetColumn,
  edit,
  editText,
  fieldErrors,
  form,
  type GroupRow,
} from "./model";

export function AssetTable() {
  const { symbols } = useCell(form);
  const errors = useCell(fieldErrors);
  if (symbols.length === 0) return <p class="hint">Choose symbols first.</p>;
  const wrong = [...errors.keys()].filter((path) =>
    /^constraints\.(asset_bounds|current_weights|benchmark_weights|transaction_costs)(\.|$)/.test(path),
  );
  return (
    <>
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Limits of single symbols">
        <table class="asset-table">
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              {ASSET_COLUMNS.map(({ key, label, unit }) => (
                <th scope="col" class="number" key={key}>
                  {label} <span class="unit">{unit}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {symbols.map((symbol) => (
              <tr key={symbol}>
                <th scope="row">{symbol}</th>
                {ASSET_COLUMNS.map((column) => (
                  <AssetCell key={column.key} symbol={symbol} column={column} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {wrong.map((path) => (
        <FieldError key={path} path={path} />
      ))}
    </>
  );
}

function AssetCell({ symbol, column }: { symbol: string; column: AssetColumn }) {
  const { text } = useCell(form);
  const path = column.path(symbol);
  const errors = useCell(fieldErrors);
  const wrong = errors.has(path) || errors.has(path.replace(/\.(min|max)_weight$/, ""));
  return (
    <td>
      <input
        id={idOf(path)}
        type="text"
        inputMode="decimal"
        autocomplete="off"
        class="cell-input"
        value={text[path] ?? ""}
        aria-label={`${column.label} of ${symbol}, ${column.unit}`}
        aria-invalid={wrong}
        {...(wrong ? { "aria-describedby": `${idOf(path)}-error` } : {})}
        onInput={(event) => editText(path, event.currentTarget.value)}
      />
    </td>
  );
}

const NEW_GROUP: GroupRow = { name: "", symbols: [], min: "", max: "" };

export function Groups() {
  const { groups } = useCell(form);
  return (
    <div class="groups">
      {groups.length === 0 && (
        <p class="hint">Bounds on the total weight of some symbols, such as a sector.</p>
      )}
      {groups.map((group, i) => (
        <GroupEditor key={i} group={group} index={i} />
      ))}
      <button
        type="button"
        class="quiet"
        onClick={() => edit({ groups: [...groups, NEW_GROUP] }, "constraints.groups")}
      >
        + Add a group
      </button>
    </div>
  );
}

function GroupEditor({ group, index }: { group: GroupRow; index: number }) {
  const { groups, symbols } = useCell(form);
  const errors = useCell(fieldErrors);
  const path = `constraints.groups[${index}]`;
  const paths = ["", ".name", ".symbols", ".min_weight", ".max_weight"].map((end) => path + end);
  const change = (part: Partial<GroupRow>): void => {
    const changed = groups.map((other, i) => (i === index ? { ...other, ...part } : other));
    edit({ groups: changed }, ...paths);
  };
  const remove = (): void => edit({ groups: groups.filter((_, i) => i !== index) }, ...paths);
  const input = (end: string, label: string, value: string, part: (v: string) => Partial<GroupRow>) => (
    <div class="field">
      <label for={idOf(path + end)}>{label}</label>
      <span class="input">
        <input
          id={idOf(path + end)}
          type="text"
          autocomplete="off"
          value={value}
          aria-invalid={errors.has(path + end)}
          aria-describedby={`${idOf(path + end)}-error`}
          onInput={(event) => change(part(event.currentTarget.value))}
        />
        {end !== ".name" && <span class="unit">%</span>}
      </span>
    </div>
  );
  return (
    <fieldset class="group">
      <legend>{group.name || `Group ${index + 1}`}</legend>
      <div class="group-fields">
        {input(".name", "Name", group.name, (name) => ({ name }))}
        {input(".min_weight", "At least", group.min, (min) => ({ min }))}
        {input(".max_weight", "At most", group.max, (max) => ({ max }))}
      </div>
      <div class="group-members" role="group" aria-label="Members">
        {symbols.map((symbol) => (
          <label key={symbol} class="member">
            <input
              type="checkbox"
              checked={group.symbols.includes(symbol)}
              onChange={(event) =>
                change({
                  symbols: event.currentTarget.checked
                    ? [...group.symbols, symbol]
                    : group.symbols.filter((other) => other !== symbol),
                })
              }
            />
            {symbol}
          </label>
        ))}
      </div>
      <button type="button" class="quiet" onClick={remove}>
        Remove this group
      </button>
      {paths.map((each) => (
        <FieldError key={each} path={each} />
      ))}
    </fieldset>
  );
}
