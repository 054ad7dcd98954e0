/** Watched portfolios: value, drift, triggers and alerts as they happen. */
import { useEffect, useState } from "preact/hooks";
import { fetchJson, socket } from "../app";
import { useCell } from "../cell";
import { useNow } from "../clock";
import { build, fieldErrors, form } from "../form/model";
import * as format from "../format";
import {
  alerts,
  loadPortfolios,
  portfolios,
  refusal,
  WATCH,
  type WatchedPortfolio,
} from "../watched";
import type { WatchData } from "../wire";
import { methodWords, objectiveWords } from "../words";

const RELOAD_EVERY = 4_000;

export function Watched() {
  const all = useCell(portfolios);
  useEffect(() => {
    const load = (): void => {
      if (!document.hidden) void loadPortfolios(fetchJson);
    };
    load();
    const timer = window.setInterval(load, RELOAD_EVERY);
    return () => window.clearInterval(timer);
  }, []);
  return (
    <div class="watched">
      <WatchForm />
      {all === null && (
        <div class="skeleton" role="status" aria-label="Loading the portfolios">
          <i />
          <i />
          <i />
        </div>
      )}
      {all?.length === 0 && (
        <div class="empty">
          <h3>Nothing is watched</h3>
          <p>A watched portfolio is optimised again by itself when one of its triggers fires.</p>
        </div>
      )}
      {all?.map((portfolio) => <Card key={portfolio.portfolio_id} portfolio={portfolio} />)}
      <Alerts />
    </div>
  );
}

type Rule = NonNullable<WatchData["triggers"]>[number];

const KINDS = {
  price_change: { name: "a price moves by", unit: "%", start: "1" },
  drawdown: { name: "the drawdown passes", unit: "%", start: "10" },
  volatility: { name: "the volatility passes", unit: "%", start: "25" },
  concentration: { name: "one weight passes", unit: "%", start: "50" },
  time_based: { name: "time passes, every", unit: "min", start: "60" },
} as const;

type Kind = keyof typeof KINDS;

function ruleOf(kind: Kind, value: number): Rule {
  if (kind === "price_change") return { kind, threshold: value / 100 };
  if (kind === "time_based") return { kind, interval: value * 60 };
  return { kind: "risk_alert", measure: kind, limit: value / 100 };
}

function WatchForm() {
  const [name, setName] = useState("");
  const [kind, setKind] = useState<Kind>("price_change");
  const [value, setValue] = useState<string>(KINDS.price_change.start);
  const refused = useCell(refusal);
  const [wrong, setWrong] = useState("");
  const watch = (event: Event): void => {
    event.preventDefault();
    const amount = Number(value.replace(",", "."));
    if (!(amount > 0)) {
      setWrong("Write a number above 0");
      return;
    }
    setWrong("");
    const { request, errors } = build(form.value);
    fieldErrors.set(errors);
    if (errors.size > 0) return;
    const { symbols, objective, constraints, method, parameters } = request;
    const order = { symbols, objective, constraints, method, parameters, triggers: [ruleOf(kind, amount)] };
    const named = name.trim() ? { ...order, name: name.trim() } : order;
    socket.send("watch", named as WatchData, WATCH + crypto.randomUUID());
  };
  return (
    <form class="watch-form" onSubmit={watch} noValidate>
      <h3>Watch the form's portfolio</h3>
      <div class="watch-fields">
        <div class="field">
          <label for="watch-name">Name</label>
          <input
            id="watch-name"
            type="text"
            maxLength={100}
            placeholder="Portfolio"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </div>
        <div class="field">
          <label for="watch-kind">Optimise again when</label>
          <select
            id="watch-kind"
            value={kind}
            onChange={(event) => {
              const next = event.currentTarget.value as Kind;
              setKind(next);
              setValue(KINDS[next].start);
            }}
          >
            {Object.entries(KINDS).map(([key, words]) => (
              <option key={key} value={key}>
                {words.name}
              </option>
            ))}
          </select>
        </div>
        <div class={wrong ? "field wrong" : "field"}>
          <label for="watch-value">Threshold</label>
          <span class="input">
            <input
              id="watch-value"
              type="text"
              inputMode="decimal"
              value={value}
              aria-invalid={wrong !== ""}
              aria-describedby="watch-error"
              onInput={(event) => setValue(event.currentTarget.value)}
            />
            <span class="unit">{KINDS[kind].unit}</span>
          </span>
        </div>
        <button type="submit">Watch</button>
      </div>
      <p class="field-error" id="watch-error" role="alert">
        {wrong || (refused ? `${refused.error}: ${refused.detail}` : "")}
      </p>
    </form>
  );
}

function Card({ portfolio }: { portfolio: WatchedPortfolio }) {
  const { standing, name, portfolio_id: id } = portfolio;
  const now = useNow(1000);
  const optimised = portfolio.optimized_at ? Date.parse(portfolio.optimized_at) : null;
  const unwatch = (): void => {
    socket.send("unwatch", { portfolio_id: id }, `${WATCH}end-${id}`);
  };
  return (
    <article class="watch-card" aria-label={name}>
      <header>
        <div>
          <h3>{name}</h3>
          <p class="hint">
            {objectiveWords(portfolio.objective).name} · {methodWords(portfolio.method).name} ·{" "}
            {optimised === null
              ? "not optimised yet"
              : `optimised ${format.age(Math.max(1, (now - optimised) / 1000))} ago`}
            {portfolio.follows && " · paper, follows every result"}
          </p>
        </div>
        <p class="watch-value">
          {format.number(standing.value)}
          <span class="hint">
            {standing.simulated && <span class="tag">simulated</span>} value
          </span>
        </p>
      </header>
      <ul class="triggers" aria-label="Triggers">
        {portfolio.triggers.map((rule, i) => (
          <TriggerRow key={i} rule={rule} quantities={standing.quantities} />
        ))}
      </ul>
      <Holdings portfolio={portfolio} />
      <button type="button" class="quiet" onClick={unwatch}>
        Stop watching
      </button>
    </article>
  );
}

type Quantities = Readonly<Record<string, number | null>>;

/** A trigger in words, and how near it is. */
function TriggerRow({ rule, quantities }: { rule: Record<string, unknown>; quantities: Quantities }) {
  const { words, measure, limit } = describe(rule);
  const value = measure ? quantities[measure] : undefined;
  const share = typeof value === "number" && limit ? Math.min(1, Math.abs(value) / limit) : null;
  return (
    <li>
      <span>{words}</span>
      {share !== null && (
        <>
          <span class="meter" aria-hidden="true">
            <i class={share >= 1 ? "over" : ""} style={{ width: `${share * 100}%` }} />
          </span>
          <span class="number">
            {format.percent(Math.abs(value ?? 0))} of {format.percent(limit)}
          </span>
        </>
      )}
    </li>
  );
}

interface RuleWords {
  words: string;
  measure?: string;
  limit?: number;
}

function describe(rule: Record<string, unknown>): RuleWords {
  const number = (name: string): number => Number(rule[name]);
  switch (rule["kind"]) {
    case "price_change":
      return { words: "A price moves", measure: "price_change", limit: number("threshold") };
    case "risk_alert": {
      const measure = String(rule["measure"]);
      const words = `${measure.charAt(0).toUpperCase()}${measure.slice(1).replaceAll("_", " ")}`;
      return { words, measure, limit: number("limit") };
    }
    case "correlation":
      return { words: "Correlations change", measure: "correlation_change", limit: number("threshold") };
    case "time_based":
      return {
        words: rule["cron"] ? `At ${String(rule["cron"])} (cron, UTC)` : `Every ${format.duration(number("interval"))}`,
      };
    case "news":
      return { words: "News about one of its symbols" };
    default:
      return { words: String(rule["expression"] ?? rule["kind"]) };
  }
}

function Holdings({ portfolio }: { portfolio: WatchedPortfolio }) {
  const { weights, target_weights: targets, quantities } = portfolio.standing;
  const held = portfolio.symbols.filter(
    (symbol) => Math.abs(weights[symbol] ?? 0) > 5e-5 || Math.abs(targets[symbol] ?? 0) > 5e-5,
  );
  return (
    <table class="holdings">
      <thead>
        <tr>
          <th scope="col">Symbol</th>
          <th scope="col" class="number">
            Now
          </th>
          <th scope="col" class="number">
            Target
          </th>
          <th scope="col" class="number">
            Drift
          </th>
        </tr>
      </thead>
      <tbody>
        {held.map((symbol) => (
          <tr key={symbol}>
            <th scope="row">{symbol}</th>
            <td class="number">{format.percent(weights[symbol])}</td>
            <td class="number">{format.percent(targets[symbol])}</td>
            <td class="number">{format.points((weights[symbol] ?? 0) - (targets[symbol] ?? 0))}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">Largest drift</th>
          <td />
          <td />
          <td class="number">{format.points(quantities["drift"])}</td>
        </tr>
      </tfoot>
    </table>
  );
}

function Alerts() {
  const all = useCell(alerts);
  if (all.length === 0) return null;
  return (
    <section aria-labelledby="alerts-title">
      <h3 id="alerts-title">Alerts</h3>
      <ul class="alerts">
        {all.map((alert) => (
          <li key={`${alert.portfolio_id}-${alert.measure}-${alert.at}`}>
            <span class="hint">{format.moment(alert.at)}</span> {alert.detail}
          </li>
        ))}
      </ul>
    </section>
  );
}
