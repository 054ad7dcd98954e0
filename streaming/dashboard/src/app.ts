/** The page's one connection, its price book, and what the server told about itself. */
import { Cell } from "./cell";
import { applyFrontier } from "./frontier";
import { PriceBook } from "./prices";
import { applyFrame, notify, sendAgain } from "./runs";
import { Socket } from "./socket";
import { applyWatched, loadPortfolios } from "./watched";
import type { FeedStatusData, ServerFrame } from "./wire";

export interface SymbolInfo {
  symbol: string;
  name: string;
  source: string;
}

export interface ServiceStatus {
  websocket_connections: { total_connections: number };
  optimization_service: {
    total_requests: number;
    successful_optimizations: number;
    failed_optimizations: number;
    cache_hits: number;
    average_optimization_time: number;
    queue_size: number;
    active_optimizations: number;
  };
}

export type View = "result" | "compare" | "watched" | "history";

export const view = new Cell<View>("result");
export const symbols = new Cell<readonly SymbolInfo[]>([]);
export const status = new Cell<ServiceStatus | null>(null);
export const prices = new PriceBook();

export const feed = new Cell<FeedStatusData | null>(null);

const STATUS_EVERY = 5_000;

function receive(frame: ServerFrame): void {
  if (frame.type === "price_update") prices.apply(frame.data);
  else if (frame.type === "feed_status") feed.set(frame.data);
  else if (!applyWatched(frame, reloadPortfolios) && !applyFrontier(frame)) applyFrame(frame);
}

const scheme = location.protocol === "https:" ? "wss" : "ws";
export const socket = new Socket(`${scheme}://${location.host}/ws`, receive);

function reloadPortfolios(): void {
  void loadPortfolios(fetchJson);
}

/** Reads JSON from the server; null when the address does not exist or cannot be reached. */
export async function fetchJson<T>(path: string): Promise<T | null> {
  try {
    const response = await fetch(path, { headers: { Accept: "application/json" } });
    return response.ok ? ((await response.json()) as T) : null;
  } catch (error) {
    // The connection's own state tells the user that the server is away.
    console.info(`${path} was not read`, error);
    return null;
  }
}

async function loadSymbols(): Promise<void> {
  const listed = await fetchJson<SymbolInfo[] | { results: SymbolInfo[] }>("/api/v1/symbols/");
  if (listed) symbols.set(Array.isArray(listed) ? listed : listed.results);
}

async function loadStatus(): Promise<void> {
  if (socket.state.value.phase !== "open" || document.hidden) return;
  const loaded = await fetchJson<ServiceStatus>("/api/v1/streaming/status");
  if (loaded) status.set(loaded);
}

export function start(): void {
  socket.onGreeted = () => {
    // For benchmarks/dashboard.py: from here on the form can be sent.
    performance.mark("usable");
    sendAgain(socket, false);
    void loadStatus();
    if (symbols.value.length === 0) void loadSymbols();
  };
  socket.onRestored = (recovered) => {
    if (recovered) return;
    notify("warning", "Some messages were missed while offline; asking for what is under way again.");
    sendAgain(socket, true);
  };
  socket.connect();
  window.setInterval(() => void loadStatus(), STATUS_EVERY);
}
