/** Starting points for the form. */
import type { FormState } from "./model";

export interface Preset {
  name: string;
  hint: string;
  part: Partial<FormState>;
}

const PLAIN: Partial<FormState> = {
  longOnly: true,
  sumToOne: true,
  includeLive: false,
  covariance: "",
  groups: [],
  text: {},
};

export const PRESETS: readonly Preset[] = [
  {
    name: "Best Sharpe",
    hint: "Long only, at most 40 % in one symbol",
    part: {
      ...PLAIN,
      objective: "maximize_sharpe",
      method: "mean_variance",
      text: { "constraints.max_weight": "40" },
    },
  },
  {
    name: "Low risk",
    hint: "Least variance, shrunk covariance, at most 25 % each",
    part: {
      ...PLAIN,
      objective: "minimize_variance",
      method: "mean_variance",
      covariance: "ledoit_wolf",
      text: { "constraints.max_weight": "25" },
    },
  },
  {
    name: "Tail risk",
    hint: "Smallest average loss on the worst 5 % of days",
    part: {
      ...PLAIN,
      objective: "minimize_cvar",
      method: "mean_variance",
      text: { "constraints.max_weight": "35", "constraints.cvar_confidence": "5" },
    },
  },
  {
    name: "Return at 15 % risk",
    hint: "Most return with volatility held at 15 % a year",
    part: {
      ...PLAIN,
      objective: "maximize_return",
      method: "mean_variance",
      text: { "constraints.max_weight": "40", "constraints.target_volatility": "15" },
    },
  },
  {
    name: "Long–short",
    hint: "130/30: up to 30 % short, 160 % gross",
    part: {
      ...PLAIN,
      objective: "maximize_sharpe",
      method: "mean_variance",
      longOnly: false,
      text: {
        "constraints.min_weight": "-30",
        "constraints.max_weight": "50",
        "constraints.max_leverage": "1.6",
      },
    },
  },
  {
    name: "A few names",
    hint: "At most 4 positions of at least 10 %",
    part: {
      ...PLAIN,
      objective: "maximize_sharpe",
      method: "mean_variance",
      text: { "constraints.max_assets": "4", "constraints.min_position": "10" },
    },
  },
  {
    name: "Evolve",
    hint: "Genetic algorithm, to watch it converge",
    part: {
      ...PLAIN,
      objective: "maximize_sortino",
      method: "genetic_algorithm",
      text: { "constraints.max_weight": "40" },
    },
  },
  {
    name: "Quantum",
    hint: "QAOA on a simulated quantum computer",
    part: {
      ...PLAIN,
      objective: "maximize_sharpe",
      method: "qaoa",
      text: { "constraints.max_weight": "40" },
    },
  },
];
