/** A finished optimisation: figures, weights, what binds, and what it stands on. */
import { saveResultCsv, saveResultPng } from "../export";
import { edit, formOf } from "../form/model";
import * as format from "../format";
import { previousResult, type Run, runs } from "../runs";
import type { OptimizationResultData } from "../wire";
import { METRICS, type MetricWords } from "../words";
import { Convergence } from "./convergence";
import { EfficientFrontier } from "./frontier";
import { Weights } from "./weights";

export function Result({ run, result }: { run: Run; result: OptimizationResultData }) {
  const previous = previousResult(run, runs.value);
  return (
    <div class="result">
      <Metrics result={result} previous={previous} />
      <div class="result-columns">
        <div class="result-main">
          <Weights result={result} previous={previous} />
          <EfficientFrontier run={run} result={result} />
        </div>
        <div class="result-side">
          <Binding result={result} />
          {run.progress.length > 1 && <Convergence progress={run.progress} />}
          <Evidence result={result} />
        </div>
      </div>
      <Actions run={run} result={result} />
    </div>
  );
}

function Metrics({ result, previous }: { result: OptimizationResultData; previous: OptimizationResultData | null }) {
  const gap = result.metadata.optimality_gap;
  return (
    <dl class="metrics">
      {METRICS.map((words) => (
        <Metric
          key={words.key}
          words={words}
          value={result.metrics[words.key]}
          before={previous?.metrics[words.key]}
        />
      ))}
      <div class="metric">
        <dt>Optimality gap</dt>
        <dd>
          <b>{format.gap(gap)}</b>
          <span class="hint">{gap === null ? "no bound known" : "certified"}</span>
        </dd>
      </div>
    </dl>
  );
}

interface MetricProps {
  words: MetricWords;
  value: number | null | undefined;
  before: number | null | undefined;
}

function Metric({ words, value, before }: MetricProps) {
  const isPercent = words.kind === "percent";
  const change = typeof value === "number" && typeof before === "number" ? value - before : null;
  const shown = change === null ? "" : isPercent ? format.points(change) : format.signedNumber(change);
  const moved = change !== null && Math.abs(change) >= (isPercent ? 5e-5 : 5e-3);
  return (
    <div class="metric">
      <dt>{words.name}</dt>
      <dd>
        <b>{isPercent ? format.percent(value) : format.number(value)}</b>
        <span class="hint">{words.unit}</span>
        {moved && (
          <span class={change > 0 === words.more ? "delta better" : "delta worse"}>
            {shown} <span class="visually-hidden">against the last result</span>
          </span>
        )}
      </dd>
    </div>
  );
}

interface BindingRow {
  sentence: string;
  price: number;
}

/** The wire's names in the sentences of the engine, as the form calls them. */
const FIELD_WORDS: readonly [RegExp, string][] = [
  [/\bmin_weight\b/g, "the minimum weight"],
  [/\bmax_weight\b/g, "the maximum weight"],
  [/\bmax_turnover\b/g, "the turnover limit"],
  [/\bmax_tracking_error\b/g, "the tracking error limit"],
  [/\btarget_return\b/g, "the return target"],
  [/\btarget_volatility\b/g, "the volatility limit"],
  [/\bmax_leverage\b/g, "the leverage limit"],
];

function inWords(sentence: string): string {
  const words = FIELD_WORDS.reduce((text, [name, phrase]) => text.replace(name, phrase), sentence);
  const plain = words.replace(/\d(\.\d+)?e-\d+/g, (digits) => Number(digits).toFixed(6));
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** Those that matter, and those whose effect is below a hundredth of the strongest. */
function byEffect(rows: readonly BindingRow[]): [BindingRow[], BindingRow[]] {
  const strongest = Math.max(...rows.map((row) => Math.abs(row.price)), 0);
  const matters = (row: BindingRow): boolean => Math.abs(row.price) >= strongest / 100;
  return [rows.filter(matters), rows.filter((row) => !matters(row))];
}

function Binding({ result }: { result: OptimizationResultData }) {
  const rows = result.metadata.binding_constraints.map((constraint) => ({
    sentence: inWords(String(constraint["sentence"] ?? constraint["name"])),
    price: Number(constraint["shadow_price"] ?? 0),
  }));
  const [strong, weak] = byEffect(rows);
  return (
    <section aria-labelledby="binding-title">
      <h3 id="binding-title">What holds it back</h3>
      {rows.length === 0 && <p class="muted">No constraint is reported as binding.</p>}
      <ul class="binding">
        {strong.map((row) => (
          <li key={row.sentence}>{row.sentence}</li>
        ))}
      </ul>
      {weak.length > 0 && (
        <details>
          <summary>
            <span class="hint">{weak.length} more with hardly any effect</span>
          </summary>
          <ul class="binding weak">
            {weak.map((row) => (
              <li key={row.sentence}>{row.sentence}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

const text = (value: unknown): string => (value === undefined || value === null ? "–" : String(value));

function Evidence({ result }: { result: OptimizationResultData }) {
  const { metadata } = result;
  const { window: data } = metadata;
  const simulated = Object.values(metadata.data_sources).filter((source) => source === "simulated");
  const total = Object.keys(metadata.data_sources).length;
  return (
    <details class="evidence">
      <summary>What it stands on</summary>
      <dl class="facts">
        <dt>Window</dt>
        <dd>
          {text(data["start"])} to {text(data["end"])}, {text(data["observations"])} daily returns
          {data["partial"] === true && ", the last one unfinished"}
        </dd>
        <dt>Data</dt>
        <dd>
          {simulated.length === 0
            ? "real prices"
            : `${simulated.length} of ${total} symbols simulated`}
          , version <code>{metadata.data_version}</code>
        </dd>
        <dt>Covariance</dt>
        <dd>{metadata.covariance === "ledoit_wolf" ? "Ledoit–Wolf" : metadata.covariance}</dd>
        <dt>Solver</dt>
        <dd>
          {metadata.solver}, {format.duration(metadata.solve_time)} of{" "}
          {format.duration(result.optimization_time)}
        </dd>
        <dt>Largest violation</dt>
        <dd>{metadata.max_violation.toExponential(1)}</dd>
        <dt>Seed</dt>
        <dd>{metadata.seed}</dd>
        <dt>Request</dt>
        <dd>
          <code>{result.request_id}</code>
        </dd>
      </dl>
    </details>
  );
}

/** Takes the weights as what is held now, for a next run with turnover or costs. */
function holdThese(result: OptimizationResultData, run: Run): void {
  const state = formOf(run.request);
  const text: Record<string, string> = { ...state.text };
  for (const [symbol, weight] of Object.entries(result.weights)) {
    text[`constraints.current_weights.${symbol}`] = String(Number((weight * 100).toFixed(4)));
  }
  edit({ ...state, text });
}

function Actions({ run, result }: { run: Run; result: OptimizationResultData }) {
  return (
    <div class="result-actions">
      <button type="button" onClick={() => edit(formOf(run.request))}>
        Edit as new
      </button>
      <button type="button" onClick={() => holdThese(result, run)}>
        Use as held now
      </button>
      <span class="spring" />
      <button type="button" onClick={() => saveResultCsv(result)}>
        CSV
      </button>
      <button type="button" onClick={() => saveResultPng(result)}>
        PNG
      </button>
    </div>
  );
}
