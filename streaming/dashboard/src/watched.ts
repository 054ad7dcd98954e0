/** Watched portfolios: the list over REST, alerts and confirmations over the wire. */
import { Cell } from "./cell";
import { notify } from "./runs";
import type {
  ErrorData,
  Method,
  Objective,
  PortfolioStandingData,
  RiskAlertData,
  ServerFrame,
} from "./wire";

export interface WatchedPortfolio {
  portfolio_id: string;
  name: string;
  symbols: string[];
  objective: Objective;
  method: Method;
  triggers: Record<string, unknown>[];
  follows: boolean;
  optimized_at: string | null;
  standing: PortfolioStandingData;
}

export interface Alert extends RiskAlertData {
  at: number;
}

export const WATCH = "watch-";
const ADDRESS = "/api/v1/portfolios/";
const KEPT = 50;

/** Null until they were read once. */
export const portfolios = new Cell<readonly WatchedPortfolio[] | null>(null);
export const alerts = new Cell<readonly Alert[]>([]);
/** Why the last order to watch was refused. */
export const refusal = new Cell<ErrorData | null>(null);

type FetchJson = <T>(path: string) => Promise<T | null>;

export async function loadPortfolios(fetchJson: FetchJson): Promise<void> {
  const listed = await fetchJson<{ results: { portfolio_id: string }[] }>(ADDRESS);
  if (!listed) return;
  const read = await Promise.all(
    listed.results.map(({ portfolio_id: id }) =>
      fetchJson<WatchedPortfolio>(`${ADDRESS}${encodeURIComponent(id)}/`),
    ),
  );
  portfolios.set(read.filter((portfolio) => portfolio !== null));
}

/** Takes a frame about watching; false when it is about something else. */
export function applyWatched(frame: ServerFrame, reload: () => void): boolean {
  if (frame.type === "risk_alert") {
    const alert = { ...frame.data, at: frame.timestamp * 1000 };
    alerts.update((all) => [alert, ...all].slice(0, KEPT));
    notify("warning", `Risk alert: ${alert.detail}`);
    return true;
  }
  if (frame.type === "watch" || frame.type === "unwatch") {
    refusal.set(null);
    reload();
    return true;
  }
  if (frame.type === "error" && frame.request_id?.startsWith(WATCH)) {
    refusal.set(frame.data);
    return true;
  }
  return false;
}
