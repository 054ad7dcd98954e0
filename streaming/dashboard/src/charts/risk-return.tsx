/** Portfolios by risk and return: points with names, and a frontier where one is known. */
import * as format from "../format";

export interface Point {
  name: string;
  risk: number;
  reward: number;
  /** Stands out from the others. */
  main?: boolean;
}

interface Props {
  points: readonly Point[];
  frontier?: readonly { risk: number; reward: number }[];
}

const WIDTH = 380;
const HEIGHT = 250;
const LEFT = 56;
const RIGHT = 26;
const TOP = 14;
const BOTTOM = 40;

/** Round numbers that cover a range, about five of them. */
function ticks(low: number, high: number): number[] {
  const raw = (high - low) / 4 || 0.01;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((size) => size >= raw) ?? raw;
  const first = Math.floor(low / step) * step;
  const found: number[] = [];
  for (let tick = first; tick < high + step; tick += step) found.push(tick);
  return found;
}

/** Below this span a difference is no difference, and the axis does not blow it up. */
const LEAST_SPAN = 0.01;

function scale(values: readonly number[], from: number, to: number) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = Math.max((high - low) * 0.12, (LEAST_SPAN - (high - low)) / 2);
  const marks = ticks(low - pad, high + pad);
  const [start, end] = [marks[0] ?? 0, marks[marks.length - 1] ?? 1];
  const step = ((marks[1] ?? end) - start) * 100;
  const digits = [0, 1].find((n) => Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) ?? 2;
  return { marks, digits, at: (value: number) => from + ((value - start) / (end - start)) * (to - from) };
}

const NEAR = 16;

interface Label {
  text: string;
  left: number;
  top: number;
}

/** Names beside their points; points that lie on each other share one. */
function labels(
  points: readonly Point[],
  x: (value: number) => number,
  y: (value: number) => number,
): Label[] {
  const found: Label[] = [];
  for (const point of points) {
    const [left, top] = [x(point.risk), y(point.reward)];
    const near = found.find((label) => Math.hypot(label.left - left, label.top - top) < NEAR);
    if (near) near.text += `, ${point.name}`;
    else found.push({ text: point.name, left, top });
  }
  return found;
}

export function RiskReturn({ points, frontier = [] }: Props) {
  const all = [...points, ...frontier];
  if (all.length === 0) return null;
  const x = scale(all.map((point) => point.risk), LEFT, WIDTH - RIGHT);
  const y = scale(all.map((point) => point.reward), HEIGHT - BOTTOM, TOP);
  const line = frontier.map((point) => `${x.at(point.risk)},${y.at(point.reward)}`).join(" ");
  const words = points
    .map((point) => `${point.name}: ${format.percent(point.reward)} at ${format.percent(point.risk)}`)
    .join("; ");
  return (
    <svg class="risk-return" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={words}>
      {y.marks.map((mark) => (
        <g key={mark}>
          <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y.at(mark)} y2={y.at(mark)} />
          <text x={LEFT - 8} y={y.at(mark) + 4} text-anchor="end">
            {format.percent(mark, y.digits)}
          </text>
        </g>
      ))}
      {x.marks.map((mark) => (
        <text key={mark} x={x.at(mark)} y={HEIGHT - BOTTOM + 16} text-anchor="middle">
          {format.percent(mark, x.digits)}
        </text>
      ))}
      <text class="axis" x={WIDTH - RIGHT} y={HEIGHT - 6} text-anchor="end">
        volatility a year →
      </text>
      <text class="axis" x={LEFT - 48} y={HEIGHT - 6}>
        ↑ expected return a year
      </text>
      {line && <polyline class="frontier" points={line} />}
      {points.map((point) => (
        <g key={point.name} class={point.main ? "point main" : "point"}>
          <circle cx={x.at(point.risk)} cy={y.at(point.reward)} r={point.main ? 7 : 5} />
        </g>
      ))}
      {labels(points, x.at, y.at).map(({ text, left, top }) => (
        <text
          key={text}
          class="label"
          x={left > WIDTH * 0.7 ? left - 11 : left + 11}
          y={top + 4}
          text-anchor={left > WIDTH * 0.7 ? "end" : "start"}
        >
          {text}
        </text>
      ))}
    </svg>
  );
}
