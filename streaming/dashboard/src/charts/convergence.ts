/** How a solver approaches its best portfolio: the value, and the certified bound. */
import type uPlot from "uplot";
import type { OptimizationProgressData } from "../wire";
import * as format from "../format";
import { colour, theme } from "../theme";

type Plot = InstanceType<typeof uPlot>;

/** Ticks with as many digits as their distance needs, the same on each. */
function evenly(ticks: readonly number[]): string[] {
  const step = Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0)) || 1;
  const digits = Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(step))));
  return ticks.map((tick) => format.number(tick, digits));
}

export class ConvergenceChart {
  readonly #holder: HTMLElement;
  readonly #watcher: ResizeObserver;
  readonly #recolour: () => void;
  #library: typeof uPlot | null = null;
  #plot: Plot | null = null;
  #data: uPlot.AlignedData = [[], [], []];
  #alive = true;

  constructor(holder: HTMLElement) {
    this.#holder = holder;
    this.#watcher = new ResizeObserver(() => this.#resize());
    this.#watcher.observe(holder);
    this.#recolour = theme.subscribe(() => this.#build());
    void Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]).then(([module]) => {
      this.#library = module.default;
      if (this.#alive) this.#build();
    });
  }

  show(progress: readonly OptimizationProgressData[]): void {
    this.#data = [
      progress.map((step) => step.elapsed),
      progress.map((step) => step.best_value),
      progress.map((step) => step.bound),
    ];
    this.#plot?.setData(this.#data);
  }

  destroy(): void {
    this.#alive = false;
    this.#watcher.disconnect();
    this.#recolour();
    this.#plot?.destroy();
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#holder;
    if (clientWidth > 0) this.#plot?.setSize({ width: clientWidth, height: clientHeight });
  }

  #build(): void {
    if (!this.#library) return;
    this.#plot?.destroy();
    const axis = {
      stroke: colour("muted"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const { clientWidth, clientHeight } = this.#holder;
    // The best value stays until a better one is found.
    const steps = this.#library.paths.stepped?.({ align: 1 });
    this.#plot = new this.#library(
      {
        width: Math.max(clientWidth, 200),
        height: Math.max(clientHeight, 120),
        cursor: { y: false, points: { size: 6 } },
        legend: { show: false },
        scales: { x: { time: false } },
        axes: [
          { ...axis, size: 28, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
          { ...axis, size: 72, values: (_, ticks) => evenly(ticks) },
        ],
        series: [
          {},
          {
            label: "Best",
            stroke: colour("accent"),
            width: 2,
            ...(steps ? { paths: steps } : {}),
            points: { show: false },
          },
          // Dashed, so that it differs by more than colour.
          { label: "Bound", stroke: colour("second"), width: 1.5, dash: [6, 4], points: { show: false } },
        ],
      },
      this.#data,
      this.#holder,
    );
  }
}
