/** The newest price of every symbol, and a short memory of each. */
import { Cell } from "./cell";
import type { PricePoint, PriceUpdateData } from "./wire";

export interface Quote {
  symbol: string;
  point: PricePoint;
  /** When the page received it, in epoch milliseconds. */
  receivedAt: number;
  /** The first price seen since the page was opened. */
  first: number;
  /** One price a second, oldest first. */
  history: number[];
  sampledAt: number;
}

type Listener = (changed: readonly Quote[]) => void;

const MEMORY = 90;
/** Least milliseconds between two drawings: digits that change faster cannot be read. */
const PACE = 200;

export class PriceBook {
  /** Symbols in alphabetical order; changes only when a new one appears. */
  readonly symbols = new Cell<readonly string[]>([]);
  readonly #quotes = new Map<string, Quote>();
  readonly #changed = new Set<string>();
  readonly #listeners = new Set<Listener>();
  #due = false;
  #toldAt = 0;

  get(symbol: string): Quote | undefined {
    return this.#quotes.get(symbol);
  }

  all(): IterableIterator<Quote> {
    return this.#quotes.values();
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes new prices in at once; listeners hear of them together, before a picture, at a pace for eyes. */
  apply(update: PriceUpdateData): void {
    const now = Date.now();
    let appeared = false;
    for (const symbol in update.prices) {
      const point = update.prices[symbol];
      if (!point) continue;
      appeared = this.#take(symbol, point, now) || appeared;
      this.#changed.add(symbol);
    }
    if (appeared) this.symbols.set([...this.#quotes.keys()].sort());
    if (!this.#due) this.#tellSoon(now);
  }

  #take(symbol: string, point: PricePoint, now: number): boolean {
    const quote = this.#quotes.get(symbol);
    if (!quote) {
      const history = [point.price];
      this.#quotes.set(symbol, {
        symbol,
        point,
        receivedAt: now,
        first: point.price,
        history,
        sampledAt: now,
      });
      return true;
    }
    quote.point = point;
    quote.receivedAt = now;
    if (now - quote.sampledAt >= 1000) {
      quote.history.push(point.price);
      if (quote.history.length > MEMORY) quote.history.shift();
      quote.sampledAt = now;
    } else {
      quote.history[quote.history.length - 1] = point.price;
    }
    return false;
  }

  #tellSoon(now: number): void {
    this.#due = true;
    const draw = (): void => void requestAnimationFrame(() => this.#tell());
    // A clock that was set back makes nobody wait longer than the pace.
    const wait = Math.min(this.#toldAt + PACE - now, PACE);
    if (wait > 0) window.setTimeout(draw, wait);
    else draw();
  }

  #tell(): void {
    this.#due = false;
    this.#toldAt = Date.now();
    const changed: Quote[] = [];
    for (const symbol of this.#changed) {
      const quote = this.#quotes.get(symbol);
      if (quote) changed.push(quote);
    }
    this.#changed.clear();
    for (const listener of this.#listeners) listener(changed);
  }
}
