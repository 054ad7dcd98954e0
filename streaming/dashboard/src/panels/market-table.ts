/** The table of live prices, drawn without a framework: it changes ten times a second. */
import { element, setText, svg } from "../dom";
import * as format from "../format";
import type { PriceBook, Quote } from "../prices";

const STALE_AFTER = 10;
const ARROWS = { up: "▲ ", down: "▼ ", "": "" } as const;
const CHART_WIDTH = 64;
const CHART_HEIGHT = 20;

interface Row {
  element: HTMLTableRowElement;
  button: HTMLButtonElement;
  price: Text;
  change: Text;
  changeCell: HTMLElement;
  fresh: HTMLElement;
  source: HTMLElement;
  line: SVGPolylineElement;
  visible: boolean;
}

export interface MarketActions {
  onChart: (symbol: string) => void;
  onAdd: (symbol: string) => void;
}

export class MarketTable {
  readonly element = element("tbody", "");
  readonly #rows = new Map<string, Row>();
  readonly #book: PriceBook;
  readonly #actions: MarketActions;
  readonly #stop: (() => void)[] = [];
  // Rows out of sight cost nothing.
  readonly #watcher = new IntersectionObserver((entries) => this.#seen(entries));
  #filter = "";
  #charted: string | null = null;

  constructor(book: PriceBook, actions: MarketActions) {
    this.#book = book;
    this.#actions = actions;
    this.#arrange(book.symbols.value);
    const clock = window.setInterval(() => this.#tick(), 1000);
    this.#stop.push(
      book.symbols.subscribe((symbols) => this.#arrange(symbols)),
      book.subscribe((changed) => this.#draw(changed)),
      () => window.clearInterval(clock),
      () => this.#watcher.disconnect(),
    );
    this.#draw([...book.all()]);
    this.#tick();
  }

  destroy(): void {
    for (const stop of this.#stop) stop();
  }

  filter(text: string): void {
    this.#filter = text.trim().toUpperCase();
    for (const [symbol, row] of this.#rows) row.element.hidden = !symbol.includes(this.#filter);
  }

  chart(symbol: string | null): void {
    for (const [name, row] of this.#rows) {
      row.button.setAttribute("aria-pressed", String(name === symbol));
    }
    this.#charted = symbol;
  }

  #arrange(symbols: readonly string[]): void {
    for (const symbol of symbols) {
      let row = this.#rows.get(symbol);
      if (!row) {
        row = this.#make(symbol);
        this.#rows.set(symbol, row);
        this.#watcher.observe(row.element);
      }
      row.element.hidden = !symbol.includes(this.#filter);
      this.element.append(row.element);
    }
  }

  #make(symbol: string): Row {
    const button = element("button", "symbol", symbol);
    button.type = "button";
    button.title = `Chart ${symbol}`;
    button.setAttribute("aria-pressed", String(symbol === this.#charted));
    button.onclick = () => this.#actions.onChart(symbol);
    const add = element("button", "add", "+");
    add.type = "button";
    add.setAttribute("aria-label", `Add ${symbol} to the form`);
    add.title = `Add ${symbol} to the form`;
    add.onclick = () => this.#actions.onAdd(symbol);
    const price = document.createTextNode("–");
    const change = document.createTextNode("–");
    const fresh = element("span", "fresh");
    const source = element("span", "tag");
    const line = svg("polyline", { fill: "none", "vector-effect": "non-scaling-stroke" });
    const chart = svg("svg", {
      viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`,
      class: "spark",
      "aria-hidden": "true",
    });
    chart.append(line);
    const name = element("th", "", button, element("span", "sub", source, fresh));
    name.scope = "row";
    const changeCell = element("td", "number change", change);
    const row = element(
      "tr",
      "",
      name,
      element("td", "spark-cell"),
      element("td", "number price", price),
      changeCell,
      element("td", "add-cell", add),
    );
    row.children[1]?.append(chart);
    row.dataset["symbol"] = symbol;
    return { element: row, button, price, change, changeCell, fresh, source, line, visible: true };
  }

  #seen(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const symbol = (entry.target as HTMLElement).dataset["symbol"] ?? "";
      const row = this.#rows.get(symbol);
      const quote = this.#book.get(symbol);
      if (!row) continue;
      row.visible = entry.isIntersecting;
      if (row.visible && quote) this.#drawRow(row, quote);
    }
  }

  #draw(changed: readonly Quote[]): void {
    for (const quote of changed) {
      const row = this.#rows.get(quote.symbol);
      if (row?.visible) this.#drawRow(row, quote);
    }
  }

  #drawRow(row: Row, quote: Quote): void {
    const { price, source } = quote.point;
    row.price.data = format.price(price);
    const change = quote.first === 0 ? 0 : price / quote.first - 1;
    // Direction by arrow and colour, never by colour alone.
    const direction = Math.abs(change) < 5e-5 ? "" : change > 0 ? "up" : "down";
    row.change.data = `${ARROWS[direction]}${format.signedPercent(change)}`;
    if (row.changeCell.dataset["move"] !== direction) row.changeCell.dataset["move"] = direction;
    setText(row.source, source === "simulated" ? "simulated" : "");
  }

  /** Once a second: how old each price is, and the small charts. */
  #tick(): void {
    const now = Date.now();
    for (const [symbol, row] of this.#rows) {
      const quote = this.#book.get(symbol);
      if (!quote || !row.visible) continue;
      const seconds = Math.max(0, now / 1000 - quote.point.timestamp);
      const stale = seconds > STALE_AFTER;
      setText(row.fresh, stale ? `${format.age(seconds)} old` : format.age(seconds));
      row.element.classList.toggle("stale", stale);
      row.line.setAttribute("points", sparkline(quote.history));
    }
  }
}

/** A polyline through the prices, scaled to the small chart. */
function sparkline(history: readonly number[]): string {
  if (history.length < 2) return "";
  const low = Math.min(...history);
  const range = Math.max(...history) - low || 1;
  const step = CHART_WIDTH / (history.length - 1);
  return history
    .map((price, i) => {
      const y = CHART_HEIGHT - 2 - ((price - low) / range) * (CHART_HEIGHT - 4);
      return `${(i * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
