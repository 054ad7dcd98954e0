/** The chosen run, wherever it stands: waiting, running, done, failed. */
import { socket } from "../app";
import { useCell } from "../cell";
import { useNow } from "../clock";
import { goTo, idOf } from "../form/field";
import { edit, formOf, inFormWords, labelOf } from "../form/model";
import * as format from "../format";
import { cancel, hasEnded, type Run, runs, selected, submit } from "../runs";
import { methodWords, objectiveWords, triggerWords } from "../words";
import { Convergence } from "./convergence";
import { Result } from "./result";

export function RunPanel() {
  const all = useCell(runs);
  const key = useCell(selected);
  const run = all.find((other) => other.key === key);
  if (!run) return <NothingYet />;
  return (
    <article class="run" aria-labelledby="run-title" key={run.key}>
      <RunHead run={run} />
      <p class="visually-hidden" aria-live="polite">
        {announcement(run)}
      </p>
      <RunBody run={run} />
    </article>
  );
}

function RunBody({ run }: { run: Run }) {
  if (run.result) return <Result run={run} result={run.result} />;
  if (run.error) return <Failed run={run} />;
  if (run.status === "cancelled") return <Cancelled run={run} />;
  return <UnderWay run={run} />;
}

function announcement(run: Run): string {
  switch (run.status) {
    case "sending":
      return "Sent";
    case "queued":
      return `Queued at position ${run.position}`;
    case "running":
      return "Running";
    case "succeeded":
      return "The result is here";
    case "failed":
      return run.error?.error ?? "Failed";
    case "cancelled":
      return "Cancelled";
  }
}

function NothingYet() {
  return (
    <div class="empty run-empty">
      <div class="ghost" aria-hidden="true">
        <i />
        <i />
        <i />
        <i />
        <i />
      </div>
      <h3>No optimisation yet</h3>
      <p>
        Choose symbols and a goal, then press <b>Optimise</b>. The queue, the convergence and the
        weights will appear here.
      </p>
    </div>
  );
}

function RunHead({ run }: { run: Run }) {
  const { objective, method, symbols, trigger } = run.request;
  const sources = run.result?.metadata.data_sources ?? {};
  return (
    <header class="run-head">
      <div>
        <h2 id="run-title">{objective ? objectiveWords(objective).name : "Optimisation"}</h2>
        <p class="muted">
          {method ? methodWords(method).name : ""} · {format.count(symbols.length, "symbol")} ·{" "}
          {format.moment(run.sentAt)}
          {run.result && ` · ${format.duration(run.result.optimization_time)}`}
        </p>
      </div>
      <p class="badges">
        {trigger && trigger !== "manual" && <span class="badge">{triggerWords(trigger)}</span>}
        {run.result?.cached && <span class="badge">from the cache</span>}
        {Object.values(sources).includes("simulated") && (
          <span class="badge simulated">simulated data</span>
        )}
      </p>
    </header>
  );
}

function UnderWay({ run }: { run: Run }) {
  const now = useNow(100, !hasEnded(run));
  const last = run.progress[run.progress.length - 1];
  const running = run.status === "running";
  const since = running ? (run.startedAt ?? run.sentAt) : run.sentAt;
  return (
    <div class="under-way">
      <Stages run={run} />
      <dl class="live-facts">
        {running ? (
          <>
            <Fact name="Running for" value={format.duration((now - since) / 1000)} />
            <Fact name="Best so far" value={format.number(last?.best_value, 4)} />
            <Fact name="Certified gap" value={format.gap(last?.gap)} />
            <Fact name="Iteration" value={last ? format.number(last.iteration, 0) : "–"} />
          </>
        ) : (
          <>
            <Fact name="Position" value={run.position === null ? "–" : String(run.position)} />
            <Fact
              name="Expected wait"
              value={run.wait === null ? "–" : `about ${format.duration(run.wait)}`}
            />
            <Fact name="Waiting for" value={format.duration((now - since) / 1000)} />
            <Fact name="Queue" value={run.lane ?? "–"} />
          </>
        )}
      </dl>
      {running && run.progress.length > 0 && <Convergence progress={run.progress} />}
      <div class="result-actions">
        <button
          type="button"
          disabled={run.requestId === null || run.cancelling}
          onClick={() => cancel(socket, run)}
        >
          {run.cancelling ? "Cancelling…" : "Cancel"}
        </button>
      </div>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

const STAGES = ["Sent", "Queued", "Running", "Result"] as const;
const REACHED = { sending: 0, queued: 1, running: 2, succeeded: 3, failed: 3, cancelled: 3 };

function Stages({ run }: { run: Run }) {
  const reached = REACHED[run.status];
  return (
    <ol class="stages">
      {STAGES.map((stage, i) => (
        <li
          key={stage}
          class={i < reached ? "done" : i === reached ? "now" : ""}
          {...(i === reached ? { "aria-current": "step" as const } : {})}
        >
          {stage}
        </li>
      ))}
    </ol>
  );
}

function Failed({ run }: { run: Run }) {
  const { error } = run;
  if (!error) return null;
  return (
    <div class="failure">
      <h3>{error.error}</h3>
      <p>{inFormWords(error.detail, error.fields)}</p>
      {error.fields.length > 0 && (
        <p class="hint to-change">
          To change:
          {error.fields.map((path) => (
            <a key={path} href={`#${idOf(path)}`} onClick={(event) => goTo(event, path)}>
              {labelOf(path)}
            </a>
          ))}
        </p>
      )}
      <div class="result-actions">
        <button type="button" onClick={() => edit(formOf(run.request))}>
          Edit as new
        </button>
        {error.retry && (
          <button type="button" onClick={() => submit(socket, run.request)}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

function Cancelled({ run }: { run: Run }) {
  return (
    <div class="failure calm">
      <h3>Cancelled</h3>
      <p class="muted">
        You stopped this after {format.duration(((run.endedAt ?? run.sentAt) - run.sentAt) / 1000)}.
        Nothing was kept.
      </p>
      <div class="result-actions">
        <button type="button" onClick={() => submit(socket, run.request)}>
          Run again
        </button>
      </div>
    </div>
  );
}
