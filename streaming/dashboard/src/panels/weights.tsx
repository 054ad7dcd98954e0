/** Weights against the risk they carry, and against the portfolio before. */
import * as format from "../format";
import type { OptimizationResultData } from "../wire";

const HELD = 5e-5;

interface Props {
  result: OptimizationResultData;
  previous: OptimizationResultData | null;
}

export function Weights({ result, previous }: Props) {
  const { weights, metadata } = result;
  const risks = metadata.risk_contributions;
  const isHeld = (symbol: string): boolean =>
    Math.abs(weights[symbol] ?? 0) > HELD || Math.abs(previous?.weights[symbol] ?? 0) > HELD;
  const symbols = Object.keys(weights);
  const held = symbols.filter(isHeld).sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0));
  const rest = symbols.filter((symbol) => !isHeld(symbol));
  const values = held.flatMap((symbol) => [weights[symbol] ?? 0, risks?.[symbol] ?? 0]);
  const low = Math.min(0, ...values);
  const high = Math.max(0.0001, ...values);
  const total = symbols.reduce((sum, symbol) => sum + (weights[symbol] ?? 0), 0);
  return (
    <section class="weights" aria-labelledby="weights-title">
      <div class="section-head">
        <h3 id="weights-title">Weights</h3>
        <p class="legend">
          <span class="swatch weight" /> weight
          {risks && (
            <>
              <span class="swatch risk" /> share of the variance
            </>
          )}
        </p>
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">Symbol</th>
            <th scope="col" class="bar-cell">
              <span class="visually-hidden">Drawn</span>
            </th>
            <th scope="col" class="number">
              Weight
            </th>
            {previous && (
              <th scope="col" class="number">
                Change
              </th>
            )}
            {risks && (
              <th scope="col" class="number">
                Risk
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {held.map((symbol) => (
            <tr key={symbol}>
              <th scope="row">
                {symbol}
                {metadata.data_sources[symbol] === "simulated" && <span class="tag">simulated</span>}
              </th>
              <td class="bar-cell">
                <Bars weight={weights[symbol] ?? 0} risk={risks?.[symbol]} low={low} high={high} />
              </td>
              <td class="number">{format.percent(weights[symbol])}</td>
              {previous && (
                <td class="number muted">
                  {format.points((weights[symbol] ?? 0) - (previous.weights[symbol] ?? 0))}
                </td>
              )}
              {risks && <td class="number">{format.percent(risks[symbol], 1)}</td>}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Total</th>
            <td class="bar-cell hint">
              {Math.abs(total - 1) > 5e-4 && `the rest, ${format.percent(1 - total)}, is cash`}
            </td>
            <td class="number">{format.percent(total)}</td>
            {previous && <td />}
            {risks && <td />}
          </tr>
        </tfoot>
      </table>
      {rest.length > 0 && (
        <p class="hint not-held">
          <b>Not held:</b> {rest.join(", ")}
        </p>
      )}
    </section>
  );
}

interface BarsProps {
  weight: number;
  risk: number | undefined;
  low: number;
  high: number;
}

function Bars({ weight, risk, low, high }: BarsProps) {
  const at = (value: number): number => ((value - low) / (high - low)) * 100;
  const bar = (value: number) => ({
    left: `${Math.min(at(0), at(value))}%`,
    width: `${Math.abs(at(value) - at(0))}%`,
  });
  return (
    <div class="bars" aria-hidden="true">
      <i class={weight < 0 ? "weight short" : "weight"} style={bar(weight)} />
      {risk !== undefined && <i class="risk" style={bar(risk)} />}
      {low < 0 && <i class="zero" style={{ left: `${at(0)}%` }} />}
    </div>
  );
}
