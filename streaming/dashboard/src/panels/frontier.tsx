/** The efficient frontier of a run's problem, with the run's portfolio on it. */
import { useEffect } from "preact/hooks";
import { socket } from "../app";
import { useCell } from "../cell";
import { RiskReturn } from "../charts/risk-return";
import { always, frontiers, setAlways, trace } from "../frontier";
import type { Run } from "../runs";
import type { FrontierPoint, OptimizationResultData } from "../wire";

function place(point: FrontierPoint): { risk: number; reward: number }[] {
  const risk = point.metrics["expected_volatility"];
  const reward = point.metrics["expected_return"];
  return typeof risk === "number" && typeof reward === "number" ? [{ risk, reward }] : [];
}

export function EfficientFrontier({ run, result }: { run: Run; result: OptimizationResultData }) {
  const frontier = useCell(frontiers).get(run.key);
  const automatic = useCell(always);
  const known = frontier !== undefined;
  useEffect(() => {
    if (automatic && !known) trace(socket, run);
  }, [automatic, known, run.key]);
  const risk = result.metrics["expected_volatility"];
  const reward = result.metrics["expected_return"];
  if (typeof risk !== "number" || typeof reward !== "number") return null;
  return (
    <section class="frontier-section" aria-labelledby="frontier-title">
      <div class="section-head">
        <h3 id="frontier-title">Efficient frontier</h3>
        <label class="inline">
          <input
            type="checkbox"
            checked={automatic}
            onChange={(event) => setAlways(event.currentTarget.checked)}
          />
          with every result
        </label>
      </div>
      {frontier && frontier.points.length > 0 ? (
        <RiskReturn
          points={[{ name: "this portfolio", risk, reward, main: true }]}
          frontier={frontier.points.flatMap(place)}
        />
      ) : (
        <FrontierStart run={run} waiting={frontier?.status === "asked"} error={frontier?.error ?? null} />
      )}
    </section>
  );
}

interface StartProps {
  run: Run;
  waiting: boolean;
  error: string | null;
}

function FrontierStart({ run, waiting, error }: StartProps) {
  return (
    <div class="frontier-start">
      {error && <p class="field-error">It could not be traced: {error}</p>}
      {waiting ? (
        <p class="muted" role="status">
          Tracing the frontier…
        </p>
      ) : (
        <button type="button" onClick={() => trace(socket, run)}>
          Trace the frontier
        </button>
      )}
      <p class="hint">The least risk for every expected return, under the same limits.</p>
    </div>
  );
}
