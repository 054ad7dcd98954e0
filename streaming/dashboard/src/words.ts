/** What the wire's names are called on the page. */
import type { Method, Objective, Trigger } from "./wire";

export interface Words {
  name: string;
  short: string;
  hint: string;
}

const METHOD_WORDS: Partial<Record<Method, Words>> = {
  mean_variance: {
    name: "Mean–variance",
    short: "MV",
    hint: "Exact convex optimisation. The right choice unless you are comparing.",
  },
  genetic_algorithm: {
    name: "Genetic algorithm",
    short: "GA",
    hint: "Evolves a population of portfolios; handles whole-number limits.",
  },
  simulated_annealing: {
    name: "Simulated annealing",
    short: "SA",
    hint: "A random walk that cools down; escapes local optima.",
  },
  particle_swarm: {
    name: "Particle swarm",
    short: "PSO",
    hint: "Portfolios that follow the best of the swarm.",
  },
  vqe: {
    name: "VQE",
    short: "VQE",
    hint: "Variational quantum eigensolver, simulated. For a handful of symbols.",
  },
  qaoa: {
    name: "QAOA",
    short: "QAOA",
    hint: "Quantum approximate optimisation, simulated. For a handful of symbols.",
  },
};

const OBJECTIVE_WORDS: Partial<Record<string, Words>> = {
  maximize_sharpe: {
    name: "Maximise Sharpe ratio",
    short: "Max Sharpe",
    hint: "Most return per unit of volatility.",
  },
  minimize_variance: {
    name: "Minimise variance",
    short: "Min variance",
    hint: "The calmest portfolio, whatever it returns.",
  },
  maximize_return: {
    name: "Maximise return",
    short: "Max return",
    hint: "Most expected return; set a risk limit with it.",
  },
  minimize_cvar: {
    name: "Minimise CVaR",
    short: "Min CVaR",
    hint: "Smallest average loss on the worst days.",
  },
  maximize_sortino: {
    name: "Maximise Sortino ratio",
    short: "Max Sortino",
    hint: "Most return per unit of downside deviation.",
  },
  minimize_value_at_risk: {
    name: "Minimise value at risk",
    short: "Min VaR",
    hint: "Smallest loss that is exceeded on only a few days.",
  },
  maximize_omega: {
    name: "Maximise Omega ratio",
    short: "Max Omega",
    hint: "Most gains per unit of losses.",
  },
  maximize_calmar: {
    name: "Maximise Calmar ratio",
    short: "Max Calmar",
    hint: "Most return per unit of the deepest fall.",
  },
};

const TRIGGER_WORDS: Partial<Record<Trigger, string>> = {
  manual: "asked for by hand",
  price_change: "price moved",
  time_based: "on schedule",
  risk_alert: "risk limit",
  constraint_violation: "constraint violated",
  market_event: "market event",
};

export interface MetricWords {
  key: string;
  name: string;
  unit: string;
  kind: "percent" | "ratio";
  /** Whether more is better. */
  more: boolean;
}

export const METRICS: readonly MetricWords[] = [
  { key: "expected_return", name: "Expected return", unit: "a year", kind: "percent", more: true },
  { key: "expected_volatility", name: "Volatility", unit: "a year", kind: "percent", more: false },
  { key: "sharpe_ratio", name: "Sharpe ratio", unit: "a year", kind: "ratio", more: true },
  { key: "sortino_ratio", name: "Sortino ratio", unit: "a year", kind: "ratio", more: true },
  { key: "omega_ratio", name: "Omega ratio", unit: "", kind: "ratio", more: true },
  { key: "calmar_ratio", name: "Calmar ratio", unit: "a year", kind: "ratio", more: true },
  { key: "cvar", name: "CVaR", unit: "one day", kind: "percent", more: false },
  { key: "value_at_risk", name: "Value at risk", unit: "one day", kind: "percent", more: false },
  { key: "max_drawdown", name: "Max drawdown", unit: "in the window", kind: "percent", more: false },
];

/** A name of the wire in plain letters, for those that have no words of their own yet. */
function plain(name: string): Words {
  const text = name.replaceAll("_", " ");
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return { name: sentence, short: sentence, hint: "" };
}

export const methodWords = (method: Method): Words => METHOD_WORDS[method] ?? plain(method);

export const objectiveWords = (objective: Objective): Words =>
  OBJECTIVE_WORDS[objective] ?? plain(objective);

export const triggerWords = (trigger: Trigger): string =>
  TRIGGER_WORDS[trigger] ?? plain(trigger).name;
