/** The convergence curve of one run. */
import { useEffect, useRef } from "preact/hooks";
import { ConvergenceChart } from "../charts/convergence";
import * as format from "../format";
import type { OptimizationProgressData } from "../wire";

export function Convergence({ progress }: { progress: readonly OptimizationProgressData[] }) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<ConvergenceChart | null>(null);
  useEffect(() => {
    if (!holder.current) return;
    const made = new ConvergenceChart(holder.current);
    chart.current = made;
    return () => made.destroy();
  }, []);
  useEffect(() => chart.current?.show(progress), [progress]);
  const last = progress[progress.length - 1];
  const bounded = progress.some((step) => step.bound !== null);
  const words = last
    ? `Best value ${format.number(last.best_value, 4)} after ${format.count(last.iteration, "iteration")}`
    : "";
  return (
    <figure class="convergence">
      <figcaption class="section-head">
        <h3>Convergence</h3>
        <p class="legend">
          <span class="swatch line" /> best so far
          {bounded && (
            <>
              <span class="swatch dashed" /> certified bound
            </>
          )}
        </p>
      </figcaption>
      <div ref={holder} class="convergence-canvas" role="img" aria-label={words} />
    </figure>
  );
}
