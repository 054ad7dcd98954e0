/** Live prices: a table with freshness, and a chart of the chosen symbol. */
import { useEffect, useRef, useState } from "preact/hooks";
import { feed, prices, socket } from "../app";
import { useCell } from "../cell";
import { drawPrices } from "../charts/price";
import { addSymbols } from "../form/symbols";
import { count } from "../format";
import { MarketTable } from "./market-table";

export function Market() {
  const table = useRef<HTMLTableElement>(null);
  const drawn = useRef<MarketTable | null>(null);
  const [charted, setCharted] = useState<string | null>(null);
  const symbols = useCell(prices.symbols);
  const connection = useCell(socket.state);
  const feedState = useCell(feed);
  const any = symbols.length > 0;

  useEffect(() => {
    if (!any || !table.current) return;
    const made = new MarketTable(prices, {
      onChart: (symbol) => setCharted((now) => (now === symbol ? null : symbol)),
      onAdd: (symbol) => addSymbols([symbol]),
    });
    drawn.current = made;
    const body = table.current;
    body.append(made.element);
    return () => {
      made.destroy();
      made.element.remove();
    };
  }, [any]);
  useEffect(() => drawn.current?.chart(charted), [charted, any]);

  return (
    <section class="panel market" aria-labelledby="market-title">
      <header>
        <h2 id="market-title">Market</h2>
        {any && <span class="hint">{count(symbols.length, "symbol")}</span>}
        {feedState?.stale && (
          <span class="badge simulated" role="status">
            feed silent: prices are old
          </span>
        )}
        {symbols.length > 10 && (
          <input
            type="search"
            class="filter"
            placeholder="Filter"
            aria-label="Filter the symbols"
            onInput={(event) => drawn.current?.filter(event.currentTarget.value)}
          />
        )}
      </header>
      {charted && <PriceChart symbol={charted} onClose={() => setCharted(null)} />}
      {any ? (
        <div class="market-scroll" tabIndex={0} role="region" aria-label="Live prices">
          <table ref={table} class="prices" role="table">
            <thead role="rowgroup">
              <tr role="row">
                <th scope="col" role="columnheader">Symbol</th>
                <th scope="col" role="columnheader">
                  <span class="visually-hidden">Last 90 seconds</span>
                </th>
                <th scope="col" role="columnheader" class="number">
                  Price
                </th>
                <th scope="col" role="columnheader" class="number" title="Since this page was opened">
                  Change
                </th>
                <th scope="col" role="columnheader">
                  <span class="visually-hidden">Add to the form</span>
                </th>
              </tr>
            </thead>
          </table>
        </div>
      ) : (
        <EmptyMarket online={connection.phase === "open"} />
      )}
    </section>
  );
}

function EmptyMarket({ online }: { online: boolean }) {
  return (
    <div class="empty">
      <div class="skeleton" aria-hidden="true">
        <i />
        <i />
        <i />
        <i />
        <i />
      </div>
      <p>{online ? "Waiting for the first prices." : "Prices appear once the server answers."}</p>
    </div>
  );
}

function PriceChart({ symbol, onClose }: { symbol: string; onClose: () => void }) {
  const holder = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!holder.current) return;
    return drawPrices(holder.current, symbol);
  }, [symbol]);
  return (
    <figure class="price-chart">
      <figcaption>
        <b>{symbol}</b>
        <span class="hint">since this page was opened</span>
        <button type="button" class="quiet" aria-label={`Close the chart of ${symbol}`} onClick={onClose}>
          ×
        </button>
      </figcaption>
      <div ref={holder} class="price-canvas" role="img" aria-label={`Price of ${symbol} over time`} />
      <p class="hint credit">
        Chart: <a href="https://www.tradingview.com/">TradingView Lightweight Charts</a>
      </p>
    </figure>
  );
}
