/** Every optimisation this page knows, moved along by the frames that arrive. */
import { Cell } from "./cell";
import type { Socket } from "./socket";
import type {
  ErrorData,
  OptimizationProgressData,
  OptimizationQueuedData,
  OptimizationRequestData,
  OptimizationResultData,
  ServerFrame,
} from "./wire";

export type RunStatus = "sending" | "queued" | "running" | "succeeded" | "failed" | "cancelled";

export interface Run {
  /** The page's own name of the request; it makes sending twice harmless. */
  key: string;
  requestId: string | null;
  request: OptimizationRequestData;
  status: RunStatus;
  cancelling: boolean;
  position: number | null;
  wait: number | null;
  lane: string | null;
  /** Epoch milliseconds. */
  sentAt: number;
  startedAt: number | null;
  endedAt: number | null;
  progress: OptimizationProgressData[];
  result: OptimizationResultData | null;
  error: ErrorData | null;
  /** Runs that were sent together to be compared share one. */
  comparison: string | null;
}

const KEPT = 300;
const NEWS_SHOWN = 8_000;
const LONGEST_CURVE = 600;
const ENDED: ReadonlySet<RunStatus> = new Set(["succeeded", "failed", "cancelled"]);

export const runs = new Cell<readonly Run[]>([]);
export const selected = new Cell<string | null>(null);
export const notices = new Cell<readonly Notice[]>([]);

export interface Notice {
  id: number;
  tone: "info" | "warning" | "error";
  text: string;
  /** Key of the run that it tells of. */
  run: string | null;
}

export const hasEnded = (run: Run): boolean => ENDED.has(run.status);

let noticeCount = 0;

export function notify(tone: Notice["tone"], text: string, run: string | null = null): void {
  noticeCount += 1;
  const notice = { id: noticeCount, tone, text, run };
  notices.update((all) => [...all.filter((other) => other.text !== text), notice].slice(-4));
  // News passes; what went wrong stays until it was read.
  if (tone === "info") window.setTimeout(() => dismiss(notice.id), NEWS_SHOWN);
}

export function dismiss(id: number): void {
  notices.update((all) => all.filter((notice) => notice.id !== id));
}

function newRun(key: string, request: OptimizationRequestData, part: Partial<Run> = {}): Run {
  return {
    key,
    request,
    requestId: null,
    status: "sending",
    cancelling: false,
    position: null,
    wait: null,
    lane: null,
    sentAt: Date.now(),
    startedAt: null,
    endedAt: null,
    progress: [],
    result: null,
    error: null,
    comparison: null,
    ...part,
  };
}

/** Sends a request, or keeps it until there is a connection. */
export function submit(
  socket: Socket,
  request: OptimizationRequestData,
  comparison: string | null = null,
): Run {
  const run = newRun(crypto.randomUUID(), request, { comparison });
  runs.update((all) => [run, ...all].slice(0, KEPT));
  if (comparison === null) selected.set(run.key);
  socket.send("optimization_request", request, run.key);
  return run;
}

export function cancel(socket: Socket, run: Run): void {
  if (!run.requestId || hasEnded(run)) return;
  if (socket.send("optimization_cancel", { request_id: run.requestId }, `cancel-${run.key}`)) {
    change(run.key, () => ({ cancelling: true }));
  }
}

/** Sends again what was not acknowledged; with `all`, asks for the state of what is under way. */
export function sendAgain(socket: Socket, all: boolean): void {
  for (const run of runs.value) {
    if (run.status === "sending" || (all && !hasEnded(run))) {
      socket.send("optimization_request", run.request, run.key);
    }
  }
}

/** Shows a finished run that came from the history. */
export function adopt(run: Run): void {
  const known = runs.value.find((other) => other.requestId === run.requestId);
  if (!known) runs.update((all) => [...all, run].sort((a, b) => b.sentAt - a.sentAt).slice(0, KEPT));
  selected.set(known?.key ?? run.key);
}

export function recorded(part: Partial<Run> & { request: OptimizationRequestData }): Run {
  return newRun(part.requestId ?? crypto.randomUUID(), part.request, part);
}

export function applyFrame(frame: ServerFrame): void {
  const echo = frame.request_id ?? null;
  if (frame.type === "error") applyError(frame.data, echo);
  if (frame.type !== "portfolio_update") return;
  const { data } = frame;
  switch (data.type) {
    case "optimization_queued":
      advance(data.request_id, echo, (run) => queued(run, data));
      break;
    case "optimization_started":
      advance(data.request_id, echo, () => ({
        status: "running",
        startedAt: Date.now(),
        position: null,
        wait: null,
      }));
      break;
    case "optimization_progress":
      advance(data.request_id, echo, (run) => ({
        status: "running",
        startedAt: run.startedAt ?? Date.now() - data.elapsed * 1000,
        progress: thinned([...run.progress, data]),
      }));
      break;
    case "optimization_result":
      finish(data, echo);
      break;
    case "optimization_cancelled":
      advance(data.request_id, echo, () => ({ status: "cancelled", endedAt: Date.now() }));
      break;
  }
}

function queued(run: Run, data: OptimizationQueuedData): Partial<Run> {
  if (run.status === "running") return {};
  return {
    status: "queued",
    position: data.queue_position,
    wait: data.estimated_wait,
    lane: data.lane,
  };
}

function finish(data: OptimizationResultData, echo: string | null): void {
  if (!find(data.request_id, echo)) adoptResult(data);
  else
    advance(data.request_id, echo, () => ({
      status: "succeeded",
      result: data,
      endedAt: Date.now(),
    }));
}

/** A result nobody on this page asked for: an automatic trigger, or another window. */
function adoptResult(data: OptimizationResultData): void {
  runs.update((all) => [resultRun(data), ...all].slice(0, KEPT));
  if (data.trigger !== "manual") {
    const { portfolio_name: name } = data.metadata.request_metadata;
    const what = typeof name === "string" && name ? name : "A watched portfolio";
    const cause = data.trigger.replaceAll("_", " ");
    notify("info", `${what} was optimised again (${cause}).`, data.request_id);
  }
  if (selected.value === null) selected.set(data.request_id);
}

export function resultRun(data: OptimizationResultData): Run {
  const { objective, constraints, parameters, request_metadata } = data.metadata;
  return newRun(
    data.request_id,
    {
      symbols: Object.keys(data.weights),
      objective,
      method: data.method,
      trigger: data.trigger,
      constraints: constraints as NonNullable<OptimizationRequestData["constraints"]>,
      parameters: parameters as NonNullable<OptimizationRequestData["parameters"]>,
      metadata: request_metadata,
    },
    {
      requestId: data.request_id,
      status: "succeeded",
      result: data,
      sentAt: (data.timestamp - data.optimization_time) * 1000,
      endedAt: data.timestamp * 1000,
    },
  );
}

function applyError(error: ErrorData, echo: string | null): void {
  const run = find(error.request_id, echo);
  if (echo?.startsWith("cancel-")) {
    change(echo.slice("cancel-".length), () => ({ cancelling: false }));
    if (error.code !== "already_finished") notify("error", `${error.error}: ${error.detail}`);
  } else if (run && !hasEnded(run)) {
    change(run.key, () => ({
      status: "failed",
      error,
      requestId: error.request_id ?? run.requestId,
      endedAt: Date.now(),
    }));
  } else if (!run) {
    notify("error", `${error.error}: ${error.detail}`);
  }
}

function find(requestId: string | null, echo: string | null): Run | undefined {
  return runs.value.find(
    (run) =>
      (echo !== null && run.key === echo) || (requestId !== null && run.requestId === requestId),
  );
}

/** Moves a run on, unless it has ended: a replayed frame changes nothing. */
function advance(requestId: string, echo: string | null, next: (run: Run) => Partial<Run>): void {
  const run = find(requestId, echo);
  if (run && !hasEnded(run)) change(run.key, () => ({ ...next(run), requestId }));
}

function change(key: string, next: (run: Run) => Partial<Run>): void {
  runs.update((all) => all.map((run) => (run.key === key ? { ...run, ...next(run) } : run)));
}

/** Halves a long curve, keeping its ends. */
function thinned(progress: OptimizationProgressData[]): OptimizationProgressData[] {
  if (progress.length <= LONGEST_CURVE) return progress;
  return progress.filter((_, i) => i % 2 === 0 || i === progress.length - 1);
}

/** The newest result before this one that holds any of the same symbols. */
export function previousResult(run: Run, all: readonly Run[]): OptimizationResultData | null {
  const own = new Set(run.request.symbols);
  const earlier = all.filter(
    (other) =>
      other.key !== run.key &&
      other.result &&
      (other.endedAt ?? 0) < (run.endedAt ?? 0) &&
      (run.comparison === null || other.comparison !== run.comparison) &&
      other.request.symbols.some((symbol) => own.has(symbol)),
  );
  earlier.sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0));
  return earlier[0]?.result ?? null;
}
