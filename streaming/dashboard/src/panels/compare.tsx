/** The same problem by several methods, side by side. */
import { useState } from "preact/hooks";
import { socket } from "../app";
import { useCell } from "../cell";
import { type Point, RiskReturn } from "../charts/risk-return";
import { saveCsv } from "../export";
import { build, fieldErrors, form } from "../form/model";
import * as format from "../format";
import { cancel, hasEnded, type Run, runs, selected, submit } from "../runs";
import { METHOD_VALUES, type Method } from "../wire";
import { METRICS, methodWords, objectiveWords } from "../words";
import { view } from "../app";

/** Quantum methods are simulated: beyond this many symbols they take long. */
const QUANTUM_SYMBOLS = 8;

export function Compare() {
  const all = useCell(runs);
  const comparisons = [...new Set(all.map((run) => run.comparison).filter((id) => id !== null))];
  const [chosen, choose] = useState<string | null>(null);
  const shown = chosen !== null && comparisons.includes(chosen) ? chosen : comparisons[0];
  const columns = all.filter((run) => run.comparison === shown && shown !== undefined);
  columns.sort((a, b) => order(a) - order(b));
  return (
    <div class="compare">
      <Starter onStart={choose} />
      {columns.length === 0 ? (
        <div class="empty">
          <h3>Nothing to compare yet</h3>
          <p>Choose methods above: each solves the problem that stands in the form.</p>
        </div>
      ) : (
        <>
          {comparisons.length > 1 && (
            <label class="inline">
              Comparison
              <select value={shown} onChange={(event) => choose(event.currentTarget.value)}>
                {comparisons.map((id) => (
                  <option key={id} value={id}>
                    {titleOf(all.find((run) => run.comparison === id))}
                  </option>
                ))}
              </select>
            </label>
          )}
          <Comparison columns={columns} />
        </>
      )}
    </div>
  );
}

const order = (run: Run): number => METHOD_VALUES.indexOf(run.request.method ?? "mean_variance");

function titleOf(run: Run | undefined): string {
  if (!run) return "";
  const objective = run.request.objective ? objectiveWords(run.request.objective).short : "";
  return `${format.moment(run.sentAt)} · ${objective} · ${format.count(run.request.symbols.length, "symbol")}`;
}

function Starter({ onStart }: { onStart: (comparison: string) => void }) {
  const { symbols } = useCell(form);
  const offered = useCell(socket.state).hello?.methods ?? METHOD_VALUES;
  const [picked, pick] = useState<ReadonlySet<Method>>(
    new Set(["mean_variance", "genetic_algorithm", "simulated_annealing", "particle_swarm"]),
  );
  const start = (): void => {
    const { errors } = build(form.value);
    fieldErrors.set(errors);
    if (errors.size > 0) return;
    const comparison = crypto.randomUUID();
    for (const method of METHOD_VALUES) {
      if (!picked.has(method) || !offered.includes(method)) continue;
      submit(socket, build({ ...form.value, method }).request, comparison);
    }
    onStart(comparison);
  };
  const slow = symbols.length > QUANTUM_SYMBOLS && (picked.has("vqe") || picked.has("qaoa"));
  return (
    <fieldset class="starter">
      <legend>Solve the form's problem by</legend>
      <div class="method-choices">
        {METHOD_VALUES.map((method) => (
          <label key={method} class="choice">
            <input
              type="checkbox"
              checked={picked.has(method) && offered.includes(method)}
              disabled={!offered.includes(method)}
              onChange={(event) => {
                const next = new Set(picked);
                if (event.currentTarget.checked) next.add(method);
                else next.delete(method);
                pick(next);
              }}
            />
            <span>{methodWords(method).name}</span>
          </label>
        ))}
        <button type="button" class="primary" disabled={picked.size === 0} onClick={start}>
          Compare
        </button>
      </div>
      {slow && (
        <p class="hint">
          {symbols.length} symbols are many for a simulated quantum computer; it will take a while.
        </p>
      )}
    </fieldset>
  );
}

function Comparison({ columns }: { columns: readonly Run[] }) {
  const symbols = columns[0]?.request.symbols ?? [];
  const points: Point[] = [];
  for (const { result } of columns) {
    const risk = result?.metrics["expected_volatility"];
    const reward = result?.metrics["expected_return"];
    if (!result || typeof risk !== "number" || typeof reward !== "number") continue;
    points.push({ name: methodWords(result.method).short, risk, reward, main: result.method === "mean_variance" });
  }
  return (
    <>
      <div class="scroll-x" tabIndex={0} role="region" aria-label="Comparison of methods">
        <table class="comparison">
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Figure</span>
              </th>
              {columns.map((run) => (
                <th scope="col" class="number" key={run.key}>
                  <ColumnHead run={run} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {METRICS.map((words) => (
              <FigureRow
                key={words.key}
                name={words.name}
                values={columns.map((run) => run.result?.metrics[words.key] ?? null)}
                show={words.kind === "percent" ? format.percent : format.number}
                more={words.more}
              />
            ))}
            <FigureRow
              name="Optimality gap"
              values={columns.map((run) => run.result?.metadata.optimality_gap ?? null)}
              show={format.gap}
              more={false}
            />
            <FigureRow
              name="Time"
              values={columns.map((run) => run.result?.optimization_time ?? null)}
              show={format.duration}
              more={false}
            />
            <tr class="divider">
              <th scope="rowgroup" colSpan={columns.length + 1}>
                Weights
              </th>
            </tr>
            {symbols.map((symbol) => (
              <tr key={symbol}>
                <th scope="row">{symbol}</th>
                {columns.map((run) => (
                  <WeightCell key={run.key} weight={run.result?.weights[symbol]} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {points.length > 1 && (
        <figure>
          <figcaption>
            <h3>Risk and return</h3>
          </figcaption>
          <RiskReturn points={points} />
        </figure>
      )}
      <div class="result-actions">
        <span class="spring" />
        <button type="button" onClick={() => saveComparison(columns, symbols)}>
          CSV
        </button>
      </div>
    </>
  );
}

function ColumnHead({ run }: { run: Run }) {
  const name = run.request.method ? methodWords(run.request.method).name : "";
  const open = (): void => {
    selected.set(run.key);
    view.set("result");
  };
  return (
    <>
      <button type="button" class="link" onClick={open}>
        {name}
      </button>
      <span class="hint state">{stateWords(run)}</span>
      {!hasEnded(run) && run.requestId && (
        <button type="button" class="quiet" aria-label={`Cancel ${name}`} onClick={() => cancel(socket, run)}>
          Cancel
        </button>
      )}
    </>
  );
}

function stateWords(run: Run): string {
  if (run.error) return run.error.detail;
  if (run.status === "queued") return `queued, position ${run.position}`;
  if (run.status === "succeeded") return run.result?.metadata.solver ?? "";
  const step = run.progress[run.progress.length - 1];
  return run.status === "running" && step ? `iteration ${step.iteration}` : run.status;
}

interface FigureRowProps {
  name: string;
  values: readonly (number | null)[];
  show: (value: number | null) => string;
  more: boolean;
}

function FigureRow({ name, values, show, more }: FigureRowProps) {
  const known = values.filter((value) => value !== null);
  const best = known.length > 1 ? (more ? Math.max(...known) : Math.min(...known)) : null;
  // Those that read the same are equally good.
  const same = known.every((value) => show(value) === show(known[0] ?? null));
  const bestText = best === null || same ? null : show(best);
  return (
    <tr>
      <th scope="row">{name}</th>
      {values.map((value, i) => {
        const isBest = value !== null && show(value) === bestText;
        return (
          <td key={i} class={isBest ? "number best" : "number"}>
            {show(value)}
            {isBest && <span class="visually-hidden"> (best)</span>}
          </td>
        );
      })}
    </tr>
  );
}

function WeightCell({ weight }: { weight: number | undefined }) {
  const share = Math.min(1, Math.abs(weight ?? 0));
  return (
    <td class="number weight-cell">
      <i
        aria-hidden="true"
        class={(weight ?? 0) < 0 ? "short" : ""}
        style={{ width: `${share * 100}%` }}
      />
      <span>{weight === undefined ? "–" : format.percent(weight)}</span>
    </td>
  );
}

function saveComparison(columns: readonly Run[], symbols: readonly string[]): void {
  const rows = [
    ["", ...columns.map((run) => run.request.method ?? "")],
    ...METRICS.map(({ key }) => [key, ...columns.map((run) => run.result?.metrics[key])]),
    ["optimality_gap", ...columns.map((run) => run.result?.metadata.optimality_gap)],
    ["optimization_time", ...columns.map((run) => run.result?.optimization_time)],
    ...symbols.map((symbol) => [symbol, ...columns.map((run) => run.result?.weights[symbol])]),
  ];
  saveCsv("comparison.csv", rows);
}
