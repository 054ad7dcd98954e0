/** An observable value, and the hook that redraws a component when it changes. */
import { useEffect, useReducer } from "preact/hooks";

export class Cell<T> {
  #value: T;
  readonly #listeners = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  update(change: (value: T) => T): void {
    this.set(change(this.#value));
  }

  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useCell<T>(cell: Cell<T>): T {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const seen = cell.value;
    const unsubscribe = cell.subscribe(() => redraw(undefined));
    // A change between drawing and subscribing would otherwise be missed.
    if (!Object.is(seen, cell.value)) redraw(undefined);
    return unsubscribe;
  }, [cell]);
  return cell.value;
}
