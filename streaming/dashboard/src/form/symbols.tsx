/** The symbols of a request: chips, and a combobox that completes what is typed. */
import { useState } from "preact/hooks";
import { prices, symbols as listed, type SymbolInfo } from "../app";
import { useCell } from "../cell";
import { count } from "../format";
import { FieldError } from "./field";
import { edit, fieldErrors, form } from "./model";

const SHOWN = 8;

/** Known symbols that match, best first: by the start of the symbol, then of the name. */
function matches(typed: string, known: readonly SymbolInfo[], taken: ReadonlySet<string>): SymbolInfo[] {
  const wanted = typed.trim().toUpperCase();
  const rank = ({ symbol, name }: SymbolInfo): number => {
    if (symbol.toUpperCase().startsWith(wanted)) return 0;
    if (name.toUpperCase().startsWith(wanted)) return 1;
    return symbol.toUpperCase().includes(wanted) || name.toUpperCase().includes(wanted) ? 2 : 3;
  };
  return known
    .filter((info) => !taken.has(info.symbol) && rank(info) < 3)
    .sort((a, b) => rank(a) - rank(b) || a.symbol.localeCompare(b.symbol))
    .slice(0, SHOWN);
}

export function addSymbols(added: readonly string[]): void {
  const all = [...new Set([...form.value.symbols, ...added])];
  edit({ symbols: all }, "symbols");
}

function removeSymbol(symbol: string): void {
  edit({ symbols: form.value.symbols.filter((other) => other !== symbol) }, "symbols");
}

function useKnown(): readonly SymbolInfo[] {
  const fromServer = useCell(listed);
  const quoted = useCell(prices.symbols);
  if (fromServer.length > 0) return fromServer;
  // A simulated quote says nothing of the history, which is what a result stands on.
  return quoted.map((symbol) => ({ symbol, name: "", source: "" }));
}

export function Symbols() {
  const { symbols } = useCell(form);
  const errors = useCell(fieldErrors);
  const known = useKnown();
  const wrong = errors.has("symbols") || symbols.some((_, i) => errors.has(`symbols[${i}]`));
  return (
    <div class={wrong ? "field symbols wrong" : "field symbols"}>
      <div class="label-row">
        <label for="field-symbols">Symbols</label>
        <span class="hint">{count(symbols.length, "symbol")}</span>
        {symbols.length > 0 && (
          <button type="button" class="quiet" onClick={() => edit({ symbols: [] }, "symbols")}>
            Clear
          </button>
        )}
      </div>
      <Combobox known={known} />
      {symbols.length > 0 && (
        <ul class="chips" aria-label="Chosen symbols">
          {symbols.map((symbol, i) => (
            <Chip key={symbol} symbol={symbol} error={errors.get(`symbols[${i}]`)} known={known} />
          ))}
        </ul>
      )}
      <div id="field-symbols-errors">
        <FieldError path="symbols" />
        {symbols.map((symbol, i) => (
          <FieldError key={symbol} path={`symbols[${i}]`} />
        ))}
      </div>
    </div>
  );
}

interface ChipProps {
  symbol: string;
  error: string | undefined;
  known: readonly SymbolInfo[];
}

function Chip({ symbol, error, known }: ChipProps) {
  const info = known.find((other) => other.symbol === symbol);
  const simulated = info?.source === "simulated";
  return (
    <li class={error ? "chip wrong" : "chip"} title={info?.name}>
      <span>{symbol}</span>
      {simulated && (
        <abbr class="sim-mark" title="simulated history">
          sim
        </abbr>
      )}
      <button type="button" aria-label={`Remove ${symbol}`} onClick={() => removeSymbol(symbol)}>
        ×
      </button>
    </li>
  );
}

function Combobox({ known }: { known: readonly SymbolInfo[] }) {
  const { symbols } = useCell(form);
  const errors = useCell(fieldErrors);
  const [typed, setTyped] = useState("");
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const found = open ? matches(typed, known, new Set(symbols)) : [];

  const add = (texts: readonly string[]): void => {
    addSymbols(texts.map((text) => text.trim().toUpperCase()).filter(Boolean));
    setTyped("");
    setOpen(false);
    setActive(-1);
  };
  const onInput = (value: string): void => {
    // A pasted list is taken apart at once.
    if (/[\s,;]/.test(value.trim()) || /[,;\s]$/.test(value)) {
      add(value.split(/[\s,;]+/));
      return;
    }
    setTyped(value);
    setOpen(value !== "");
    setActive(-1);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((now) => Math.max(-1, Math.min(found.length - 1, now + step)));
    } else if (event.key === "Enter" && (typed.trim() || active >= 0)) {
      event.preventDefault();
      add([found[active]?.symbol ?? typed]);
    } else if (event.key === "Escape") {
      setOpen(false);
    } else if (event.key === "Backspace" && typed === "" && symbols.length > 0) {
      removeSymbol(symbols[symbols.length - 1] ?? "");
    }
  };
  const wrong = errors.has("symbols");
  return (
    <div class="combobox">
      <input
        id="field-symbols"
        type="text"
        role="combobox"
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        placeholder="Type a symbol or paste a list"
        value={typed}
        aria-expanded={found.length > 0}
        aria-controls="symbol-options"
        aria-autocomplete="list"
        aria-invalid={wrong}
        aria-describedby="field-symbols-errors"
        {...(active >= 0 ? { "aria-activedescendant": `symbol-option-${active}` } : {})}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onBlur={() => {
          setOpen(false);
          if (typed.trim()) add([typed]);
        }}
      />
      <ul id="symbol-options" role="listbox" aria-label="Known symbols" hidden={found.length === 0}>
        {found.map((info, i) => (
          <li
            key={info.symbol}
            id={`symbol-option-${i}`}
            role="option"
            aria-selected={i === active}
            onMouseDown={(event) => {
              // Keeps the focus, and so the list, where it is.
              event.preventDefault();
              add([info.symbol]);
            }}
          >
            <b>{info.symbol}</b>
            <span>{info.name}</span>
            {info.source === "simulated" && <span class="tag">simulated</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
