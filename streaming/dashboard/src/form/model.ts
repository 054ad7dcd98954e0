/** What the form holds, and its way to a request: text becomes numbers, percent become fractions. */
import { Cell } from "../cell";
import type {
  AssetBounds,
  Constraints,
  Group,
  Method,
  Objective,
  OptimizationParameters,
  OptimizationRequestData,
} from "../wire";

export type Unit = "%" | "×" | "bp" | "s" | "days" | "";

export interface NumberField {
  /** Its path inside the request's `data`. */
  path: string;
  label: string;
  unit: Unit;
  hint: string;
  placeholder: string;
  whole?: boolean;
  /** Methods that know it; all of them when left out. */
  methods?: readonly Method[];
}

const HEURISTICS: readonly Method[] = ["genetic_algorithm", "simulated_annealing", "particle_swarm"];
const QUANTUM: readonly Method[] = ["vqe", "qaoa"];
const ITERATIVE = [...HEURISTICS, ...QUANTUM];

/** The spec's constraints. */
export const BASIC_FIELDS: readonly NumberField[] = [
  {
    path: "constraints.min_weight",
    label: "Minimum weight",
    unit: "%",
    hint: "Of each symbol",
    placeholder: "0",
  },
  {
    path: "constraints.max_weight",
    label: "Maximum weight",
    unit: "%",
    hint: "Of each symbol",
    placeholder: "100",
  },
  {
    path: "constraints.cvar_confidence",
    label: "CVaR tail",
    unit: "%",
    hint: "The worst days, 1 to 10 %",
    placeholder: "5",
  },
];

export const RISK_FIELDS: readonly NumberField[] = [
  {
    path: "constraints.target_return",
    label: "Return at least",
    unit: "%",
    hint: "A year, net of costs",
    placeholder: "none",
  },
  {
    path: "constraints.target_volatility",
    label: "Volatility at most",
    unit: "%",
    hint: "A year",
    placeholder: "none",
  },
  {
    path: "constraints.max_tracking_error",
    label: "Tracking error at most",
    unit: "%",
    hint: "A year, against the benchmark below",
    placeholder: "none",
  },
  {
    path: "constraints.max_leverage",
    label: "Leverage at most",
    unit: "×",
    hint: "Sum of absolute weights",
    placeholder: "none",
  },
];

export const HOLDING_FIELDS: readonly NumberField[] = [
  {
    path: "constraints.max_assets",
    label: "Positions at most",
    unit: "",
    hint: "Symbols held",
    placeholder: "all",
    whole: true,
  },
  {
    path: "constraints.min_position",
    label: "Smallest position",
    unit: "%",
    hint: "Of a symbol that is held",
    placeholder: "none",
  },
  {
    path: "constraints.max_turnover",
    label: "Turnover at most",
    unit: "%",
    hint: "Buys plus sells; 200 % replaces everything",
    placeholder: "none",
  },
  {
    path: "constraints.transaction_costs",
    label: "Trading cost",
    unit: "bp",
    hint: "Of the traded value",
    placeholder: "0",
  },
];

export const DATA_FIELDS: readonly NumberField[] = [
  {
    path: "parameters.lookback",
    label: "Lookback",
    unit: "days",
    hint: "Daily returns in the window",
    placeholder: document.getElementById("dashboard")?.dataset["lookback"] ?? "",
    whole: true,
  },
  {
    path: "parameters.risk_free_rate",
    label: "Risk-free rate",
    unit: "%",
    hint: "A year",
    placeholder: "0",
  },
];

export const METHOD_FIELDS: readonly NumberField[] = [
  {
    path: "parameters.seed",
    label: "Seed",
    unit: "",
    hint: "Same seed, same answer",
    placeholder: "0",
    whole: true,
    methods: ITERATIVE,
  },
  {
    path: "parameters.time_limit",
    label: "Time limit",
    unit: "s",
    hint: "Stops with the best so far",
    placeholder: "the method's own",
    methods: HEURISTICS,
  },
  {
    path: "parameters.iterations",
    label: "Iterations",
    unit: "",
    hint: "Generations or steps",
    placeholder: "the method's own",
    whole: true,
    methods: ITERATIVE,
  },
  {
    path: "parameters.population",
    label: "Population",
    unit: "",
    hint: "Portfolios kept at once",
    placeholder: "the method's own",
    whole: true,
    methods: HEURISTICS,
  },
  {
    path: "parameters.target_gap",
    label: "Good enough gap",
    unit: "%",
    hint: "May stop at this certified gap",
    placeholder: "0",
    methods: HEURISTICS,
  },
  {
    path: "parameters.layers",
    label: "Circuit layers",
    unit: "",
    hint: "Depth of the ansatz",
    placeholder: "the method's own",
    whole: true,
    methods: QUANTUM,
  },
  {
    path: "parameters.shots",
    label: "Shots",
    unit: "",
    hint: "Empty: exact probabilities",
    placeholder: "exact",
    whole: true,
    methods: QUANTUM,
  },
  {
    path: "parameters.noise",
    label: "Gate noise",
    unit: "%",
    hint: "Probability of an error per gate",
    placeholder: "0",
    methods: QUANTUM,
  },
];

const ALL_FIELDS = [
  ...BASIC_FIELDS,
  ...RISK_FIELDS,
  ...HOLDING_FIELDS,
  ...DATA_FIELDS,
  ...METHOD_FIELDS,
];

export interface AssetColumn {
  key: string;
  label: string;
  unit: Unit;
  path: (symbol: string) => string;
}

/** What can be said about a single symbol. */
export const ASSET_COLUMNS: readonly AssetColumn[] = [
  {
    key: "min",
    label: "Min",
    unit: "%",
    path: (symbol) => `constraints.asset_bounds.${symbol}.min_weight`,
  },
  {
    key: "max",
    label: "Max",
    unit: "%",
    path: (symbol) => `constraints.asset_bounds.${symbol}.max_weight`,
  },
  {
    key: "current",
    label: "Held now",
    unit: "%",
    path: (symbol) => `constraints.current_weights.${symbol}`,
  },
  {
    key: "benchmark",
    label: "Benchmark",
    unit: "%",
    path: (symbol) => `constraints.benchmark_weights.${symbol}`,
  },
  {
    key: "cost",
    label: "Cost",
    unit: "bp",
    path: (symbol) => `constraints.transaction_costs.${symbol}`,
  },
];

export interface GroupRow {
  name: string;
  symbols: readonly string[];
  min: string;
  max: string;
}

export interface FormState {
  symbols: readonly string[];
  objective: Objective;
  method: Method;
  longOnly: boolean;
  sumToOne: boolean;
  includeLive: boolean;
  covariance: "" | "sample" | "ledoit_wolf";
  /** Text of every number field, and of every symbol's, by path. */
  text: Readonly<Record<string, string>>;
  groups: readonly GroupRow[];
}

export const EMPTY_FORM: FormState = {
  symbols: ["AAPL", "JNJ", "JPM", "MSFT", "PG", "XOM"],
  objective: "maximize_sharpe",
  method: "mean_variance",
  longOnly: true,
  sumToOne: true,
  includeLive: false,
  covariance: "",
  text: { "constraints.max_weight": "40" },
  groups: [],
};

export type FieldErrors = ReadonlyMap<string, string>;

const STORED = "quantumedge.form";

export const form = new Cell<FormState>(stored());
export const fieldErrors = new Cell<FieldErrors>(new Map());

function stored(): FormState {
  try {
    const text = localStorage.getItem(STORED);
    return text ? { ...EMPTY_FORM, ...(JSON.parse(text) as Partial<FormState>) } : EMPTY_FORM;
  } catch (error) {
    // Storage can be switched off, or hold what another version wrote.
    console.info("the saved form was not read", error);
    return EMPTY_FORM;
  }
}

export function edit(part: Partial<FormState>, ...paths: string[]): void {
  form.update((state) => ({ ...state, ...part }));
  clearErrors(paths);
  try {
    localStorage.setItem(STORED, JSON.stringify(form.value));
  } catch (error) {
    console.info("the form was not saved", error);
  }
}

export function editText(path: string, value: string): void {
  const text = { ...form.value.text };
  if (value.trim() === "") delete text[path];
  else text[path] = value;
  edit({ text }, path);
}

/** Forgets the errors at these paths and below them. */
function clearErrors(paths: readonly string[]): void {
  const errors = fieldErrors.value;
  const kept = [...errors].filter(
    ([path]) => !paths.some((edited) => path === edited || path.startsWith(`${edited}[`)),
  );
  if (kept.length === errors.size) return;
  // Once one field of a conflict has changed, the others may be right as they are.
  const conflict = [...errors].some(([, message]) => message === CONCERNED);
  fieldErrors.set(conflict ? new Map() : new Map(kept));
}

const SCALES: Record<Unit, number> = { "%": 100, bp: 10_000, "×": 1, s: 1, days: 1, "": 1 };

/** A number as it is written, in its unit, as the wire has it. */
export function parse(text: string, unit: Unit, whole = false): number | string {
  const cleaned = text.trim().replace(/[−–]/, "-").replace(/\s|%/g, "").replace(",", ".");
  const value = Number(cleaned);
  if (cleaned === "" || !Number.isFinite(value)) {
    return `“${text.trim()}” is not a number; write digits, such as 12.5`;
  }
  if (whole && !Number.isInteger(value)) return `${text.trim()} is not a whole number`;
  // 0.1 % of rounding noise would show in the answer: 35 / 100 is exact enough, 0.35000000000000003 is not.
  return Number((value / SCALES[unit]).toPrecision(12));
}

/** A fraction as the form writes it, in its unit. */
export function written(value: number, unit: Unit): string {
  return String(Number((value * SCALES[unit]).toPrecision(10)));
}

export interface Built {
  request: OptimizationRequestData;
  errors: FieldErrors;
}

/** The request that the form describes, with what cannot be read as a number. */
export function build(state: FormState): Built {
  const errors = new Map<string, string>();
  const constraints: Record<string, unknown> = {
    long_only: state.longOnly,
    sum_to_one: state.sumToOne,
  };
  const parameters: Record<string, unknown> = {};
  if (state.symbols.length === 0) errors.set("symbols", "Choose at least one symbol");
  const read = (path: string, unit: Unit, whole = false): number | undefined => {
    const text = state.text[path];
    if (text === undefined) return undefined;
    const value = parse(text, unit, whole);
    if (typeof value === "number") return value;
    errors.set(path, value);
    return undefined;
  };
  for (const field of ALL_FIELDS) {
    if (field.methods && !field.methods.includes(state.method)) continue;
    const value = read(field.path, field.unit, field.whole);
    const [part, name] = field.path.split(".") as [string, string];
    if (value !== undefined) (part === "constraints" ? constraints : parameters)[name] = value;
  }
  buildAssets(state, constraints, read);
  const groups = buildGroups(state, errors);
  if (groups.length > 0) constraints["groups"] = groups;
  if (state.covariance) parameters["covariance"] = state.covariance;
  if (state.includeLive) parameters["include_live"] = true;
  const request: OptimizationRequestData = {
    symbols: [...state.symbols],
    objective: state.objective,
    method: state.method,
    constraints: constraints as Constraints,
    parameters: parameters as OptimizationParameters,
    trigger: "manual",
    metadata: { request_source: "dashboard" },
  };
  return { request, errors };
}

type Read = (path: string, unit: Unit) => number | undefined;

function buildAssets(state: FormState, constraints: Record<string, unknown>, read: Read): void {
  const bounds: Record<string, AssetBounds> = {};
  const maps: Record<string, Record<string, number>> = { current: {}, benchmark: {}, cost: {} };
  for (const symbol of state.symbols) {
    for (const { key, unit, path } of ASSET_COLUMNS) {
      const value = read(path(symbol), unit);
      if (value === undefined) continue;
      if (key === "min") bounds[symbol] = { ...bounds[symbol], min_weight: value };
      else if (key === "max") bounds[symbol] = { ...bounds[symbol], max_weight: value };
      else (maps[key] ?? {})[symbol] = value;
    }
  }
  const names = { current: "current_weights", benchmark: "benchmark_weights" };
  for (const [key, name] of Object.entries(names)) {
    const weights = maps[key] ?? {};
    if (Object.keys(weights).length > 0) constraints[name] = weights;
  }
  if (Object.keys(bounds).length > 0) constraints["asset_bounds"] = bounds;
  const costs = maps["cost"] ?? {};
  if (Object.keys(costs).length > 0) {
    // A cost of every symbol, so that those without one of their own keep the common one.
    const common = (constraints["transaction_costs"] as number | undefined) ?? 0;
    constraints["transaction_costs"] = Object.fromEntries(
      state.symbols.map((symbol) => [symbol, costs[symbol] ?? common]),
    );
  }
}

function buildGroups(state: FormState, errors: Map<string, string>): Group[] {
  return state.groups.map((row, i) => {
    const group: Group = { name: row.name.trim(), symbols: [...row.symbols] };
    const path = `constraints.groups[${i}]`;
    if (!group.name) errors.set(`${path}.name`, "Give the group a name");
    for (const [name, text] of [["min_weight", row.min], ["max_weight", row.max]] as const) {
      if (text.trim() === "") continue;
      const value = parse(text, "%");
      if (typeof value === "number") group[name] = value;
      else errors.set(`${path}.${name}`, value);
    }
    return group;
  });
}

/** The form that describes a request, to change it and send it again. */
export function formOf(request: OptimizationRequestData): FormState {
  const constraints = request.constraints ?? {};
  const parameters = request.parameters ?? {};
  const text: Record<string, string> = {};
  for (const field of ALL_FIELDS) {
    const [part, name] = field.path.split(".") as [string, string];
    const source = (part === "constraints" ? constraints : parameters) as Record<string, unknown>;
    const value = source[name];
    if (typeof value === "number") text[field.path] = written(value, field.unit);
  }
  const costs = constraints.transaction_costs;
  const sources: Record<string, (symbol: string) => number | null | undefined> = {
    min: (symbol) => constraints.asset_bounds?.[symbol]?.min_weight,
    max: (symbol) => constraints.asset_bounds?.[symbol]?.max_weight,
    current: (symbol) => constraints.current_weights?.[symbol],
    benchmark: (symbol) => constraints.benchmark_weights?.[symbol],
    cost: (symbol) => (typeof costs === "object" ? costs[symbol] : undefined),
  };
  for (const symbol of request.symbols) {
    for (const { key, unit, path } of ASSET_COLUMNS) {
      const value = sources[key]?.(symbol);
      if (typeof value === "number") text[path(symbol)] = written(value, unit);
    }
  }
  return {
    symbols: request.symbols,
    objective: request.objective ?? EMPTY_FORM.objective,
    method: request.method ?? EMPTY_FORM.method,
    longOnly: constraints.long_only ?? true,
    sumToOne: constraints.sum_to_one ?? true,
    includeLive: parameters.include_live ?? false,
    covariance: parameters.covariance ?? "",
    text,
    groups: (constraints.groups ?? []).map((group) => ({
      name: group.name,
      symbols: group.symbols,
      min: typeof group.min_weight === "number" ? written(group.min_weight, "%") : "",
      max: typeof group.max_weight === "number" ? written(group.max_weight, "%") : "",
    })),
  };
}

/** What stands at a field that another field's error concerns, too. */
export const CONCERNED = "Part of the same conflict";

/** The server's error, laid at the fields that it names. */
export function errorsAt(fields: readonly string[], detail: string): FieldErrors {
  const words = inFormWords(detail, fields);
  const sentences = words.split("; ");
  if (sentences.length === fields.length) {
    return new Map(fields.map((path, i) => [path, sentence(sentences[i] ?? words)]));
  }
  // One sentence about several fields stands at the first; the others point to it.
  return new Map(fields.map((path, i) => [path, i === 0 ? sentence(words) : CONCERNED]));
}

/** What the form calls a field of the request. */
export function labelOf(path: string): string {
  const known = ALL_FIELDS.find((field) => field.path === path)?.label ?? OTHER_LABELS[path];
  return known ?? path.replace(/^(constraints|parameters)\./, "");
}

/** The server's sentence with the form's names, and in percent where the form writes percent. */
export function inFormWords(detail: string, fields: readonly string[]): string {
  let words = detail;
  for (const path of [...ALL_FIELDS.map((field) => field.path), ...Object.keys(OTHER_LABELS)]) {
    const name = path.split(".")[1];
    if (name) words = words.replace(new RegExp(`\\b((constraints|parameters)\\.)?${name}\\b`, "g"), `“${labelOf(path)}”`);
  }
  const invested = `“${labelOf(SUM_TO_ONE)}”`;
  words = words.replace(`set ${invested} to false`, `switch ${invested} off`);
  if (!fields.every((path) => (unitOf(path) ?? "%") === "%")) return words;
  return words
    .replace(/\b0\.\d+\b/g, (digits) => `${written(Number(digits), "%")} %`)
    .replace(/\bsum to (more than )?1\b/g, "sum to $1100 %");
}

const SUM_TO_ONE = "constraints.sum_to_one";
const OTHER_LABELS: Readonly<Record<string, string>> = {
  symbols: "Symbols",
  objective: "Objective",
  method: "Method",
  "constraints.long_only": "Long only",
  [SUM_TO_ONE]: "Fully invested",
  "constraints.asset_bounds": "Single symbols",
  "constraints.current_weights": "Held now",
  "constraints.benchmark_weights": "Benchmark",
  "constraints.groups": "Groups",
  "parameters.covariance": "Covariance",
  "parameters.include_live": "Include today",
};

function unitOf(path: string): Unit | undefined {
  return ALL_FIELDS.find((field) => field.path === path)?.unit;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
