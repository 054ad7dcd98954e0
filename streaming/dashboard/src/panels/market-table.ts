/** The table of live prices, drawn without a framework: it changes ten times a second. */
import { element, setText, svg } from "../dom";
import * as format from "../format";
import type { PriceBook, Quote } from "../prices";

const STALE_AFTER = 10;
/** Prices are written as they are told; what is derived from them, and their age, at every beat. */
const BEAT = 500;
/** A small chart moves by a third of a pixel in a beat: each is drawn anew in every fourth. */
const CHART_EVERY = 4;
const ARROWS = { up: "▲ ", down: "▼ ", "": "" } as const;
const CHART_WIDTH = 56;
const CHART_HEIGHT = 22;

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
  stale: boolean;
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
  #beat = 0;
  #beatAt = 0;

  constructor(book: PriceBook, actions: MarketActions) {
    this.#book = book;
    this.#actions = actions;
    this.element.role = "rowgroup";
    this.#arrange(book.symbols.value);
    // With new prices the beat falls into their picture; without, ages still grow.
    const clock = window.setInterval(() => this.#beatIfDue(2 * BEAT), BEAT);
    this.#stop.push(
      book.symbols.subscribe((symbols) => this.#arrange(symbols)),
      book.subscribe((changed) => this.#draw(changed)),
      () => window.clearInterval(clock),
      () => this.#watcher.disconnect(),
    );
    this.#draw([...book.all()]);
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
    const fresh = element("span", "sub fresh");
    const source = element("span", "sub tag");
    const line = svg("polyline", { fill: "none" });
    // In pixels, without a view box: a scaled drawing would be a layer of its own to paint.
    const chart = svg("svg", {
      width: String(CHART_WIDTH),
      height: String(CHART_HEIGHT),
      class: "spark",
      "aria-hidden": "true",
    });
    chart.append(line);
    const name = element("th", "", button, source);
    name.scope = "row";
    name.role = "rowheader";
    const sparkCell = element("td", "spark-cell");
    sparkCell.append(chart);
    const changeCell = element("td", "number change", change);
    const cells = [
      sparkCell,
      element("td", "number price", element("b", "", price), fresh),
      changeCell,
      element("td", "add-cell", add),
    ];
    for (const cell of cells) cell.role = "cell";
    const row = element("tr", "", name, ...cells);
    // A row that is no table row for the layout (see panels.css) still is one for a reader.
    row.role = "row";
    row.dataset["symbol"] = symbol;
    return { element: row, button, price, change, changeCell, fresh, source, line, visible: true, stale: false };
  }

  #seen(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const symbol = (entry.target as HTMLElement).dataset["symbol"] ?? "";
      const row = this.#rows.get(symbol);
      const quote = this.#book.get(symbol);
      if (!row) continue;
      row.visible = entry.isIntersecting;
      if (!row.visible || !quote) continue;
      this.#drawRow(row, quote);
      this.#describe(row, quote, Date.now());
      row.line.setAttribute("points", sparkline(quote.history));
    }
  }

  #draw(changed: readonly Quote[]): void {
    for (const quote of changed) {
      const row = this.#rows.get(quote.symbol);
      if (row?.visible) this.#drawRow(row, quote);
    }
    this.#beatIfDue(BEAT);
  }

  #beatIfDue(after: number): void {
    if (Math.abs(Date.now() - this.#beatAt) >= after) this.#tick();
  }

  #drawRow(row: Row, quote: Quote): void {
    write(row.price, format.price(quote.point.price));
  }

  /** How far each visible price has come, how old it is, and the charts of some. */
  #tick(): void {
    const now = Date.now();
    this.#beatAt = now;
    let position = this.#beat++;
    for (const [symbol, row] of this.#rows) {
      const charted = position++ % CHART_EVERY === 0;
      const quote = this.#book.get(symbol);
      if (!quote || !row.visible) continue;
      this.#describe(row, quote, now);
      if (charted) row.line.setAttribute("points", sparkline(quote.history));
    }
  }

  #describe(row: Row, quote: Quote, now: number): void {
    const { price, source, timestamp } = quote.point;
    const change = quote.first === 0 ? 0 : price / quote.first - 1;
    // Direction by arrow and colour, never by colour alone.
    const direction = Math.abs(change) < 5e-5 ? "" : change > 0 ? "up" : "down";
    write(row.change, `${ARROWS[direction]}${format.signedPercent(change)}`);
    if (row.changeCell.dataset["move"] !== direction) row.changeCell.dataset["move"] = direction;
    const seconds = Math.max(0, now / 1000 - timestamp);
    const stale = seconds > STALE_AFTER;
    setText(row.fresh, stale ? `${format.age(seconds)} old` : format.age(seconds));
    if (stale !== row.stale) row.element.classList.toggle("stale", stale);
    row.stale = stale;
    setText(row.source, source === "simulated" ? "simulated" : "");
  }
}

/** Changes a text only where it differs: an equal one would be laid out again, too. */
function write(node: Text, text: string): void {
  if (node.data !== text) node.data = text;
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
