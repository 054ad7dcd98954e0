/** Results as files: CSV for spreadsheets, PNG for slides. */
import * as format from "./format";
import { colour } from "./theme";
import type { OptimizationResultData } from "./wire";
import { METRICS, methodWords, objectiveWords } from "./words";

export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has taken the address by then.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

type Value = string | number | null | undefined;

function csvCell(value: Value): string {
  if (typeof value === "number") return String(value);
  const text = value ?? "";
  // A leading =, +, - or @ would be run as a formula by spreadsheets.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function saveCsv(name: string, rows: readonly (readonly Value[])[]): void {
  const text = rows.map((row) => row.map(csvCell).join(",")).join("\r\n");
  download(name, new Blob([`${text}\r\n`], { type: "text/csv;charset=utf-8" }));
}

export function saveResultCsv(result: OptimizationResultData): void {
  const { weights, metrics, metadata } = result;
  const rows: Value[][] = [["symbol", "weight", "risk_contribution", "data_source"]];
  for (const [symbol, weight] of Object.entries(weights)) {
    const risk = metadata.risk_contributions?.[symbol];
    rows.push([symbol, weight, risk, metadata.data_sources[symbol]]);
  }
  rows.push([], ["metric", "value"]);
  for (const [name, value] of Object.entries(metrics)) rows.push([name, value]);
  rows.push(
    [],
    ["request_id", result.request_id],
    ["objective", metadata.objective],
    ["method", result.method],
    ["optimality_gap", metadata.optimality_gap],
    ["data_version", metadata.data_version],
  );
  saveCsv(`${result.request_id}.csv`, rows);
}

const WIDTH = 960;
const MARGIN = 40;
const ROW = 30;
const TOP = 190;

/** Draws the result on a canvas of its own, in the colours of the page. */
export function saveResultPng(result: OptimizationResultData): void {
  const held = Object.entries(result.weights)
    .filter(([, weight]) => Math.abs(weight) > 5e-5)
    .sort(([, a], [, b]) => b - a);
  const height = TOP + held.length * ROW + 70;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * 2;
  canvas.height = height * 2;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(2, 2);
  context.fillStyle = colour("surface");
  context.fillRect(0, 0, WIDTH, height);
  drawHead(context, result);
  drawBars(context, held);
  drawFoot(context, result, height);
  canvas.toBlob((blob) => {
    if (blob) download(`${result.request_id}.png`, blob);
  }, "image/png");
}

const FONT = "system-ui, sans-serif";

function drawHead(context: CanvasRenderingContext2D, result: OptimizationResultData): void {
  context.fillStyle = colour("text");
  context.font = `600 24px ${FONT}`;
  context.fillText(objectiveWords(result.metadata.objective).name, MARGIN, 56);
  context.fillStyle = colour("muted");
  context.font = `14px ${FONT}`;
  const { window: data } = result.metadata;
  context.fillText(
    `${methodWords(result.method).name} · ${data["observations"]} daily returns, ${data["start"]} to ${data["end"]}`,
    MARGIN,
    80,
  );
  METRICS.slice(0, 5).forEach(({ key, name, kind }, i) => {
    const value = result.metrics[key];
    const x = MARGIN + i * 180;
    context.fillStyle = colour("muted");
    context.font = `12px ${FONT}`;
    context.fillText(name, x, 120);
    context.fillStyle = colour("text");
    context.font = `600 20px ${FONT}`;
    context.fillText(kind === "percent" ? format.percent(value) : format.number(value), x, 146);
  });
}

function drawBars(context: CanvasRenderingContext2D, held: readonly [string, number][]): void {
  const left = MARGIN + 90;
  const right = WIDTH - MARGIN - 90;
  const low = Math.min(0, ...held.map(([, weight]) => weight));
  const high = Math.max(...held.map(([, weight]) => weight), 0);
  const at = (weight: number): number => left + ((weight - low) / (high - low || 1)) * (right - left);
  held.forEach(([symbol, weight], i) => {
    const y = TOP + i * ROW;
    context.fillStyle = weight < 0 ? colour("second") : colour("accent");
    context.fillRect(Math.min(at(0), at(weight)), y, Math.abs(at(weight) - at(0)), ROW - 10);
    context.fillStyle = colour("text");
    context.font = `14px ${FONT}`;
    context.textAlign = "left";
    context.fillText(symbol, MARGIN, y + 15);
    context.textAlign = "right";
    context.fillText(format.percent(weight), WIDTH - MARGIN, y + 15);
  });
  context.textAlign = "left";
}

function drawFoot(
  context: CanvasRenderingContext2D,
  result: OptimizationResultData,
  height: number,
): void {
  const simulated = Object.values(result.metadata.data_sources).includes("simulated");
  context.fillStyle = colour("muted");
  context.font = `12px ${FONT}`;
  const source = simulated ? "contains simulated data · " : "";
  context.fillText(`QuantumEdge · ${source}${result.request_id}`, MARGIN, height - 24);
}
