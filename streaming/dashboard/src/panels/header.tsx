/** The top of the page: name, connection, service figures, theme. */
import { socket, status } from "../app";
import { useCell } from "../cell";
import { useNow } from "../clock";
import * as format from "../format";
import { setTheme, theme } from "../theme";

export function Header({ adminUrl }: { adminUrl: string }) {
  return (
    <header class="top">
      <a class="brand" href="/">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M3 19 C8 19 8 6 14 6 S20 11 21 5" />
          <circle cx="14" cy="6" r="2.4" />
        </svg>
        QuantumEdge
      </a>
      <Service />
      <ConnectionPill />
      <nav aria-label="Site">
        <a href={adminUrl}>Admin</a>
        <ThemeButton />
      </nav>
    </header>
  );
}

function ThemeButton() {
  const now = useCell(theme);
  const other = now === "dark" ? "light" : "dark";
  return (
    <button type="button" class="icon" aria-label={`Use the ${other} theme`} onClick={() => setTheme(other)}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {now === "dark" ? (
          <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8" />
        ) : (
          <path d="M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5" />
        )}
      </svg>
    </button>
  );
}

function Service() {
  const service = useCell(status)?.optimization_service;
  if (!service) return <div class="service" />;
  const facts: [string, string][] = [
    ["waiting", String(service.queue_size)],
    ["running", String(service.active_optimizations)],
    ["done", service.successful_optimizations.toLocaleString("en-GB")],
    ["failed", service.failed_optimizations.toLocaleString("en-GB")],
    ["from cache", service.cache_hits.toLocaleString("en-GB")],
    ["mean time", format.duration(service.average_optimization_time)],
  ];
  return (
    <dl class="service" aria-label="The service now">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const PHASES = {
  connecting: "Connecting",
  open: "Live",
  waiting: "Reconnecting",
  stopped: "Disconnected",
} as const;

function ConnectionPill() {
  const { phase, latency, hello } = useCell(socket.state);
  return (
    <div class="connection" data-phase={phase} role="status">
      <i aria-hidden="true" />
      <b>{PHASES[phase]}</b>
      {phase === "open" && latency !== null && (
        <span class="hint" title="Round trip of a heartbeat">
          {format.duration(latency / 1000)}
        </span>
      )}
      {phase === "open" && hello?.user && <span class="hint user">{hello.user}</span>}
    </div>
  );
}

const RESUMED_SHOWN = 8_000;

/** What the connection is doing about itself, for as long as it matters. */
export function ConnectionBanner() {
  const state = useCell(socket.state);
  const recently = state.resumed !== null;
  const now = useNow(250, state.phase === "waiting" || recently);
  if (state.phase === "waiting") {
    const seconds = Math.max(0, ((state.retryAt ?? now) - now) / 1000);
    return (
      <div class="banner" role="alert">
        <p>
          Connection lost: {state.reason}. Prices are frozen.{" "}
          <span aria-hidden="true">
            Attempt {state.attempt} in {Math.ceil(seconds)} s.
          </span>
        </p>
        <button type="button" onClick={() => socket.connect()}>
          Try now
        </button>
      </div>
    );
  }
  if (state.phase === "stopped") {
    return (
      <div class="banner" role="alert">
        <p>The server ended the connection and asks not to be called again: {state.reason}.</p>
        <button type="button" onClick={() => socket.connect()}>
          Connect anyway
        </button>
      </div>
    );
  }
  if (state.phase === "open" && state.resumed && now - state.resumed.at < RESUMED_SHOWN) {
    const { recovered, replayed } = state.resumed;
    return (
      <div class="banner good" role="status">
        <p>
          {recovered
            ? `Reconnected and resumed: ${replayed > 0 ? `${format.count(replayed, "missed message")} replayed` : "nothing was missed"}.`
            : "Reconnected. What was missed is no longer kept; runs under way were asked for again."}
        </p>
      </div>
    );
  }
  return null;
}
