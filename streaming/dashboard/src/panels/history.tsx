/** Every optimisation of this user, newest first, with search. */
import { useEffect, useState } from "preact/hooks";
import { view } from "../app";
import { useCell } from "../cell";
import * as format from "../format";
import { type HistoryRow, loadHistory, openRecorded } from "../history";
import { type Run, runs, selected } from "../runs";
import { methodWords, objectiveWords, triggerWords } from "../words";

const STATUS_MARKS: Record<string, string> = {
  sending: "…",
  queued: "◷",
  running: "▸",
  succeeded: "✓",
  failed: "✕",
  cancelled: "⊘",
};

export function History() {
  const session = useCell(runs);
  const [search, setSearch] = useState("");
  const [rows, setRows] = useState<readonly HistoryRow[] | null>(null);
  const [recorded, setRecorded] = useState(true);
  const finished = session.filter((run) => run.endedAt !== null).length;

  useEffect(() => {
    let wanted = true;
    void loadHistory().then((loaded) => {
      if (!wanted) return;
      setRows(loaded ?? []);
      setRecorded(loaded !== null);
    });
    return () => {
      wanted = false;
    };
  }, [finished]);

  const merged = merge(session, rows ?? []);
  const shown = merged.filter((row) => matches(row, search));
  return (
    <div class="history">
      <div class="history-head">
        <input
          type="search"
          placeholder="Search: symbol, method, goal, status …"
          aria-label="Search the history"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <span class="hint" aria-live="polite">
          {format.count(shown.length, "run")}
        </span>
      </div>
      {rows === null && merged.length === 0 && (
        <div class="skeleton" role="status" aria-label="Loading the history">
          <i />
          <i />
          <i />
        </div>
      )}
      {rows !== null && shown.length === 0 && (
        <div class="empty">
          <h3>{search ? "No run matches" : "No history yet"}</h3>
          <p>{search ? "Try fewer words." : "Every optimisation is recorded and can be opened again."}</p>
        </div>
      )}
      {shown.length > 0 && <HistoryTable rows={shown} />}
      {!recorded && <p class="hint">Showing this session only: the record could not be read.</p>}
    </div>
  );
}

function HistoryTable({ rows }: { rows: readonly HistoryRow[] }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Optimisations, newest first">
      <table class="history-table">
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Method</th>
            <th scope="col" class="wide">
              Symbols
            </th>
            <th scope="col" class="wide">
              Cause
            </th>
            <th scope="col" class="number wide">
              Return
            </th>
            <th scope="col" class="number wide">
              Risk
            </th>
            <th scope="col" class="number">
              Sharpe
            </th>
            <th scope="col">Status</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row key={row.requestId ?? row.key} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row }: { row: HistoryRow }) {
  const { request, metrics } = row;
  const open = (): void => {
    if (row.run) selected.set(row.run.key);
    else if (row.requestId) void openRecorded(row.requestId);
    view.set("result");
  };
  return (
    <tr>
      <th scope="row">
        <button type="button" class="link" onClick={open}>
          {request.objective ? objectiveWords(request.objective).short : "Optimisation"}
        </button>
        <span class="sub">{format.moment(row.at)}</span>
      </th>
      <td>{request.method ? methodWords(request.method).name : "–"}</td>
      <td class="wide symbols-cell" title={request.symbols.join(", ")}>
        {request.symbols.slice(0, 4).join(", ")}
        {request.symbols.length > 4 && ` +${request.symbols.length - 4}`}
      </td>
      <td class="wide">{request.trigger ? triggerWords(request.trigger) : "–"}</td>
      <td class="number wide">{format.percent(metrics?.["expected_return"])}</td>
      <td class="number wide">{format.percent(metrics?.["expected_volatility"])}</td>
      <td class="number">{format.number(metrics?.["sharpe_ratio"])}</td>
      <td>
        <span class="status" data-status={row.status}>
          <span aria-hidden="true">{STATUS_MARKS[row.status]}</span> {row.status}
        </span>
      </td>
    </tr>
  );
}

/** The session's runs, which are newer, before the recorded ones, each once. */
function merge(session: readonly Run[], recorded: readonly HistoryRow[]): HistoryRow[] {
  const own = session.map(
    (run): HistoryRow => ({
      key: run.key,
      requestId: run.requestId,
      request: run.request,
      status: run.status,
      at: run.sentAt,
      metrics: run.result?.metrics ?? null,
      run,
    }),
  );
  const known = new Set(own.map((row) => row.requestId));
  const rest = recorded.filter((row) => !known.has(row.requestId));
  return [...own, ...rest].sort((a, b) => b.at - a.at);
}

function matches(row: HistoryRow, search: string): boolean {
  const { objective, method, symbols, trigger } = row.request;
  const text = [
    ...symbols,
    row.status,
    row.requestId,
    method,
    method && methodWords(method).name,
    objective,
    objective && objectiveWords(objective).name,
    trigger && triggerWords(trigger),
  ]
    .join(" ")
    .toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
