/** Efficient frontiers, each traced for one run. */
import { Cell } from "./cell";
import type { Run } from "./runs";
import type { Socket } from "./socket";
import type { Constraints, FrontierPoint, OptimizationParameters, ServerFrame } from "./wire";

export interface Frontier {
  status: "asked" | "done" | "failed";
  points: readonly FrontierPoint[];
  error: string | null;
}

const PREFIX = "frontier-";
const POINTS = 24;
const STORED = "quantumedge.frontier";
/** What the window of returns depends on; the rest belongs to the run's method. */
const DATA_PARAMETERS = ["lookback", "include_live", "risk_free_rate", "covariance"] as const;

/** By the key of their run. */
export const frontiers = new Cell<ReadonlyMap<string, Frontier>>(new Map());
/** Whether every new result gets its frontier. */
export const always = new Cell<boolean>(stored());

function stored(): boolean {
  try {
    return localStorage.getItem(STORED) === "always";
  } catch (error) {
    console.info("the saved choice was not read", error);
    return false;
  }
}

export function setAlways(value: boolean): void {
  always.set(value);
  try {
    localStorage.setItem(STORED, value ? "always" : "asked");
  } catch (error) {
    console.info("the choice was not saved", error);
  }
}

export function trace(socket: Socket, run: Run): void {
  const { symbols, objective, constraints, parameters } = run.request;
  // The frontier varies the return itself.
  const { target_return: _target, ...limits } = constraints ?? {};
  const data: Record<string, unknown> = {};
  for (const name of DATA_PARAMETERS) {
    const value = parameters?.[name];
    if (value !== undefined && value !== null) data[name] = value;
  }
  const sent = socket.send(
    "frontier_request",
    {
      symbols,
      ...(objective ? { objective } : {}),
      constraints: limits satisfies Constraints,
      parameters: data satisfies OptimizationParameters,
      points: POINTS,
    },
    PREFIX + run.key,
  );
  if (sent) put(run.key, { status: "asked", points: [], error: null });
}

/** Takes a frame that is about a frontier; false when it is about something else. */
export function applyFrontier(frame: ServerFrame): boolean {
  const echo = frame.request_id;
  if (frame.type === "portfolio_update" && frame.data.type === "frontier_result") {
    if (echo) put(echo.slice(PREFIX.length), { status: "done", points: frame.data.points, error: null });
    return true;
  }
  if (!echo?.startsWith(PREFIX)) return false;
  const key = echo.slice(PREFIX.length);
  if (frame.type === "error") {
    put(key, { status: "failed", points: [], error: frame.data.detail });
  } else if (frame.type === "portfolio_update" && frame.data.type === "frontier_point") {
    const known = frontiers.value.get(key);
    if (known?.status === "asked") {
      put(key, { ...known, points: [...known.points, frame.data.point] });
    }
  }
  return true;
}

function put(key: string, frontier: Frontier): void {
  frontiers.update((all) => new Map(all).set(key, frontier));
}
