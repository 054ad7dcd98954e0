/** The recorded optimisations, read over REST. */
import { fetchJson } from "./app";
import { adopt, notify, recorded, type Run, type RunStatus } from "./runs";
import type { ErrorData, OptimizationRequestData, OptimizationResultData } from "./wire";

export interface HistoryRow {
  key: string;
  requestId: string | null;
  request: OptimizationRequestData;
  status: RunStatus;
  /** Epoch milliseconds. */
  at: number;
  metrics: Readonly<Record<string, number | null>> | null;
  /** The run of this session, if it is one. */
  run: Run | null;
}

/** One optimisation as `/api/v1/optimizations/` lists it. */
interface Recorded extends OptimizationRequestData {
  request_id: string;
  kind?: "optimization" | "frontier";
  status: RunStatus;
  created_at: string;
  finished_at: string | null;
  metrics?: Record<string, number | null> | null;
  result?: OptimizationResultData | null;
  error?: ErrorData | null;
}

const ADDRESS = "/api/v1/optimizations/";

/** The newest recorded optimisations, or null when they cannot be read. */
export async function loadHistory(): Promise<readonly HistoryRow[] | null> {
  const listed = await fetchJson<Recorded[] | { results: Recorded[] }>(`${ADDRESS}?limit=200`);
  if (!listed) return null;
  const all = Array.isArray(listed) ? listed : listed.results;
  // A frontier belongs to the result that it was traced for.
  const results = all.filter((one) => one.kind !== "frontier");
  return results.map((one) => ({
    key: one.request_id,
    requestId: one.request_id,
    request: requestOf(one),
    status: one.status,
    at: Date.parse(one.created_at),
    metrics: one.metrics ?? one.result?.metrics ?? null,
    run: null,
  }));
}

/** What was asked, without what became of it. */
function requestOf(one: Recorded): OptimizationRequestData {
  const { symbols, objective, method, trigger, constraints, parameters, metadata } = one;
  const all = { symbols, objective, method, trigger, constraints, parameters, metadata };
  const present = Object.entries(all).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as unknown as OptimizationRequestData;
}

/** Opens a recorded optimisation in the result panel. */
export async function openRecorded(requestId: string): Promise<void> {
  const one = await fetchJson<Recorded>(`${ADDRESS}${encodeURIComponent(requestId)}/`);
  if (!one) {
    notify("error", "That optimisation could not be read; it may have been pruned.");
    return;
  }
  adopt(
    recorded({
      request: requestOf(one),
      requestId: one.request_id,
      status: one.status,
      sentAt: Date.parse(one.created_at),
      endedAt: one.finished_at ? Date.parse(one.finished_at) : null,
      result: one.result ?? null,
      error: one.error ?? null,
    }),
  );
}
