/** A live line of one symbol's price. */
import type { IChartApi, ISeriesApi, UTCTimestamp } from "lightweight-charts";
import { prices } from "../app";
import { colour, theme } from "../theme";

/** Draws into `holder` until the returned function is called. */
export function drawPrices(holder: HTMLElement, symbol: string): () => void {
  let stop = (): void => {};
  let wanted = true;
  // Loaded when the first chart is opened, not with the page.
  void import("lightweight-charts").then((library) => {
    if (wanted) stop = draw(library, holder, symbol);
  });
  return () => {
    wanted = false;
    stop();
  };
}

type Library = typeof import("lightweight-charts");

function options(library: Library) {
  return {
    layout: {
      background: { type: library.ColorType.Solid, color: "transparent" },
      textColor: colour("muted"),
      attributionLogo: false,
      fontSize: 11,
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colour("line") } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false, timeVisible: true, secondsVisible: true },
  };
}

function draw(library: Library, holder: HTMLElement, symbol: string): () => void {
  const chart: IChartApi = library.createChart(holder, { autoSize: true, ...options(library) });
  const series: ISeriesApi<"Line"> = chart.addSeries(library.LineSeries, {
    color: colour("accent"),
    lineWidth: 2,
    priceLineVisible: false,
  });
  const quote = prices.get(symbol);
  let last = 0;
  if (quote) {
    const end = Math.floor(quote.sampledAt / 1000);
    const { history } = quote;
    last = end;
    series.setData(
      history.map((value, i) => ({ time: (end - history.length + 1 + i) as UTCTimestamp, value })),
    );
  }
  const unsubscribe = prices.subscribe((changed) => {
    for (const { symbol: name, point, receivedAt } of changed) {
      if (name !== symbol) continue;
      // Time only moves forward on the chart.
      last = Math.max(last, Math.floor(receivedAt / 1000));
      series.update({ time: last as UTCTimestamp, value: point.price });
    }
  });
  const recolour = theme.subscribe(() => {
    chart.applyOptions(options(library));
    series.applyOptions({ color: colour("accent") });
  });
  return () => {
    unsubscribe();
    recolour();
    chart.remove();
  };
}
