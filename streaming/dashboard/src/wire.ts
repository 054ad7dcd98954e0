// Generated from streaming/protocol.py by `manage.py export_wire_types`; do not edit.

export const CLIENT_MESSAGE_VALUES = [
  "auth",
  "optimization_request",
  "frontier_request",
  "optimization_cancel",
  "subscribe",
  "unsubscribe",
  "heartbeat",
  "resume",
  "watch",
  "unwatch",
] as const;
/** Types of frames that a client may send. */
export type ClientMessage = (typeof CLIENT_MESSAGE_VALUES)[number];

export const TOPIC_VALUES = [
  "portfolio_updates",
  "price_updates",
  "risk_alerts",
] as const;
/** What a client may subscribe to; `price_updates:AAPL` narrows a topic to one subject. */
export type Topic = (typeof TOPIC_VALUES)[number];

export const SERVER_MESSAGE_VALUES = [
  "auth",
  "connection_status",
  "portfolio_update",
  "price_update",
  "feed_status",
  "risk_alert",
  "watch",
  "unwatch",
  "subscribe",
  "unsubscribe",
  "heartbeat",
  "resume",
  "error",
] as const;
/** Types of frames that the server sends. */
export type ServerMessage = (typeof SERVER_MESSAGE_VALUES)[number];

/** Bounds of one asset; each replaces `min_weight` or `max_weight` for that asset. */
export interface AssetBounds {
  min_weight?: number | null;
  max_weight?: number | null;
}

/** Signs a program in; the first message where the handshake carried no credentials. */
export interface AuthData {
  /** An API token. */
  token: string;
}

/** Confirms that a program is signed in; `connection_status` follows. */
export interface AuthenticatedData {
  status: "authenticated";
  user: string;
  scope: "read" | "trade";
  /** ISO 8601, UTC: when the token ends and the connection with it; null for never. */
  expires_at: string | null;
}

/** Cancels a request. */
export interface CancelData {
  /** The server's id of the request. */
  request_id: string;
}

/** Greets a client. */
export interface ConnectionStatusData {
  status: "connected";
  client_id: string;
  /** ISO 8601, UTC. */
  server_time: string;
  /** Names the run of sequence numbers; a client that resumes sends it back. */
  epoch: string;
  /** Newest sequence number at the moment of connecting. */
  seq: number;
  /** The signed-in user's name, or null in local mode. */
  user: string | null;
  /** Methods that this server can run. */
  methods: Array<Method>;
  objectives: Array<Objective>;
  limits: Limits;
}

/** What a portfolio has to satisfy. */
export interface Constraints {
  long_only?: boolean;
  sum_to_one?: boolean;
  min_weight?: number | null;
  max_weight?: number | null;
  cvar_confidence?: number;
  asset_bounds?: Record<string, AssetBounds>;
  groups?: Array<Group>;
  current_weights?: Record<string, number> | null;
  max_turnover?: number | null;
  transaction_costs?: number | Record<string, number>;
  benchmark_weights?: Record<string, number> | null;
  max_tracking_error?: number | null;
  target_return?: number | null;
  target_volatility?: number | null;
  max_assets?: number | null;
  min_position?: number | null;
  max_leverage?: number | null;
  capital?: number | null;
  lot_size?: number | null;
  fixed_fee?: number | null;
}

/** Fires when the correlations have changed by `threshold` on average. */
export interface CorrelationRule {
  kind: "correlation";
  threshold?: number;
}

/** Fires when an expression over the quantities begins to hold. */
export interface CustomRule {
  kind: "custom";
  expression: string;
}

export const ERROR_CODE_VALUES = [
  "invalid_message",
  "unknown_type",
  "message_too_large",
  "rate_limited",
  "invalid_request",
  "invalid_problem",
  "infeasible",
  "no_excess_return",
  "unbounded",
  "unsupported",
  "method_unavailable",
  "market_data_unavailable",
  "unknown_symbol",
  "queue_full",
  "service_unavailable",
  "idempotency_conflict",
  "unknown_request",
  "unknown_portfolio",
  "already_finished",
  "unknown_topic",
  "unauthenticated",
  "forbidden",
  "solver_failure",
  "time_limit",
  "worker_lost",
  "cancelled",
  "engine_error",
] as const;
/** The machine-readable reason of an error frame. */
export type ErrorCode = (typeof ERROR_CODE_VALUES)[number];

/** Says what went wrong and how to mend it. */
export interface ErrorData {
  /** One of a few fixed sentences. */
  error: string;
  /** What exactly, and the mend. */
  detail: string;
  code: ErrorCode;
  /** Whether the same frame may succeed later. */
  retry: boolean;
  /** The request that ended with this error, or null when none was accepted. */
  request_id: string | null;
  /** Paths inside `data` of what to change. */
  fields: Array<string>;
}

/** How the market feed does; sent to price subscribers at first and whenever it changes. */
export interface FeedStatusData {
  /** The feed that ticked last; empty before the first tick. */
  name: string;
  /** No tick for a while: prices are old and automatic triggers pause. */
  stale: boolean;
  /** Epoch seconds. */
  last_tick: number | null;
}

/** One point of a frontier. */
export interface FrontierPoint {
  /** 0 for the least risk. */
  index: number;
  /** Yearly. */
  target_return: number;
  weights: Record<string, number>;
  metrics: Record<string, number | null>;
  optimality_gap: number | null;
}

/** Carries a point of a frontier as soon as it is found. */
export interface FrontierPointData {
  type: "frontier_point";
  request_id: string;
  client_id: string;
  point: FrontierPoint;
}

/** Asks for an efficient frontier: the least risk for every expected return. */
export interface FrontierRequestData {
  /** Assets to optimise over. */
  symbols: Array<string>;
  /** The risk: variance, CVaR, mean absolute deviation, CDaR or drawdown; else the variance. */
  objective?: Objective;
  /** What every point has to satisfy. */
  constraints?: Constraints;
  /** How many, evenly spaced in expected return. */
  points?: number;
  trigger?: Trigger;
  parameters?: OptimizationParameters;
  /** The client's own notes, returned with the result. */
  metadata?: Record<string, unknown>;
}

/** Carries a whole frontier. */
export interface FrontierResultData {
  type: "frontier_result";
  request_id: string;
  client_id: string;
  points: Array<FrontierPoint>;
  /** Seconds from the worker's claim to the end. */
  optimization_time: number;
  timestamp: number;
  trigger: Trigger;
  method: Method;
  success: true;
  cached: boolean;
  error?: null;
  metadata: Record<string, unknown>;
}

/** Bounds on the total weight of some assets, e.g. of a sector. */
export interface Group {
  name: string;
  symbols: Array<string>;
  min_weight?: number | null;
  max_weight?: number | null;
}

/** Says that the client lives. */
export interface HeartbeatData {
  status?: string;
}

/** Answers a heartbeat. */
export interface HeartbeatReplyData {
  status: "alive";
  server_time: string;
}

/** Bounds that the server enforces, so that a client can stay within them. */
export interface Limits {
  max_symbols: number;
  max_message_bytes: number;
  max_messages_per_second: number;
  max_queue_size: number;
}

export const METHOD_VALUES = [
  "mean_variance",
  "genetic_algorithm",
  "simulated_annealing",
  "particle_swarm",
  "vqe",
  "qaoa",
] as const;
/** The six optimisation methods of the wire. */
export type Method = (typeof METHOD_VALUES)[number];

/** Fires when an event is posted that names one of its symbols, or none at all. */
export interface NewsRule {
  kind: "news";
}

export const OBJECTIVE_VALUES = [
  "maximize_sharpe",
  "minimize_variance",
  "maximize_return",
  "minimize_cvar",
  "maximize_sortino",
  "minimize_value_at_risk",
  "maximize_omega",
  "maximize_calmar",
  "maximize_utility",
  "maximize_diversification",
  "minimize_mad",
  "minimize_cdar",
  "minimize_max_drawdown",
  "risk_parity",
  "hierarchical_risk_parity",
  "equal_weight",
  "inverse_volatility",
] as const;
/** What a portfolio is optimised for. */
export type Objective = (typeof OBJECTIVE_VALUES)[number];

/** Ends a request that was cancelled. */
export interface OptimizationCancelledData {
  type: "optimization_cancelled";
  request_id: string;
  client_id: string;
}

/** Settings of the data and of the method; those that the method does not know are refused. */
export interface OptimizationParameters {
  /** Daily returns in the window; `DEFAULT_LOOKBACK` unless set. */
  lookback?: number | null;
  /** Add today's unfinished return, from the newest quotes, as the last row. */
  include_live?: boolean | null;
  /** Yearly, as a fraction; 0 unless set. */
  risk_free_rate?: number | null;
  /** Estimator of the covariance matrix. */
  covariance?: "sample" | "ledoit_wolf" | null;
  /** Of mean_variance: `general` lets CVXPY solve what a fast path would, as a cross-check. */
  solver?: "auto" | "general" | null;
  /** Seed of the method's random generator; 0 unless set. */
  seed?: number | null;
  /** λ of maximize_utility: μ'w − λ/2 · w'Σw, on yearly moments. */
  risk_aversion?: number | null;
  /** Seconds after which the method stops with its best portfolio so far. */
  time_limit?: number | null;
  /** Generations or steps of a heuristic; optimiser iterations of a quantum method. */
  iterations?: number | null;
  /** Portfolios that a heuristic may look at. */
  evaluations?: number | null;
  /** Portfolios that a heuristic keeps at once. */
  population?: number | null;
  /** Certified relative gap at which a method may stop. */
  target_gap?: number | null;
  /** PennyLane device of a quantum method, by name. */
  device?: string | null;
  /** Samples per circuit; exact probabilities unless set. */
  shots?: number | null;
  /** Layers of the quantum circuit. */
  layers?: number | null;
  /** Probability of a Pauli error per gate. */
  noise?: number | null;
  /** Noisy circuits that the shots of a quantum method are spread over. */
  trajectories?: number | null;
  /** Largest number of qubits of one circuit. */
  qubits?: number | null;
  /** Largest number of refinement rounds of a quantum method. */
  rounds?: number | null;
  /** Share of the best samples that a quantum method optimises its angles for. */
  alpha?: number | null;
  /** Share of the risk that each symbol may take, for risk_parity; equal unless set. */
  risk_budgets?: Record<string, unknown> | null;
}

/** Reports a running solver's best portfolio. */
export interface OptimizationProgressData {
  type: "optimization_progress";
  request_id: string;
  client_id: string;
  iteration: number;
  evaluations: number;
  /** Value of the objective. */
  best_value: number;
  /** Certified bound on the objective. */
  bound: number | null;
  /** Relative gap of `best_value` to `bound`. */
  gap: number | null;
  /** Seconds since the solver began. */
  elapsed: number;
}

/** Acknowledges a request that was admitted. */
export interface OptimizationQueuedData {
  type: "optimization_queued";
  request_id: string;
  /** 1 for the next to run. */
  queue_position: number;
  /** Seconds until the result, from measured durations. */
  estimated_wait: number;
  /** The queue it waits in. */
  lane: string;
}

/** Asks for an optimisation. */
export interface OptimizationRequestData {
  /** Assets to optimise over. */
  symbols: Array<string>;
  /** What to optimise. */
  objective?: Objective;
  /** What to satisfy. */
  constraints?: Constraints;
  /** How to solve. */
  method?: Method;
  /** What asks for it; automatic triggers may be answered from the cache. */
  trigger?: Trigger;
  /** Settings of the data and of the method. */
  parameters?: OptimizationParameters;
  /** The client's own notes, returned with the result. */
  metadata?: Record<string, unknown>;
}

/** Carries the answer. */
export interface OptimizationResultData {
  type: "optimization_result";
  request_id: string;
  client_id: string;
  weights: Record<string, number>;
  /** Yearly `expected_return`, `expected_volatility`, `sharpe_ratio`, `sortino_ratio`; one-day `value_at_risk` and `cvar`; `max_drawdown` of the window. */
  metrics: Record<string, number | null>;
  /** Seconds from the worker's claim to the end. */
  optimization_time: number;
  timestamp: number;
  trigger: Trigger;
  method: Method;
  success: true;
  cached: boolean;
  error?: null;
  metadata: ResultMetadata;
}

/** Says that a worker has begun. */
export interface OptimizationStartedData {
  type: "optimization_started";
  request_id: string;
  client_id: string;
  method: Method;
}

/** How a watched portfolio stands at the newest prices. */
export interface PortfolioStandingData {
  /** In currency. */
  value: number;
  weights: Record<string, number>;
  /** Weights that the last result asked for. */
  target_weights: Record<string, number>;
  /** What triggers may name, as fractions; null where a price is unknown. */
  quantities: Record<string, number | null>;
  /** Whether any of its prices is simulated. */
  simulated: boolean;
}

/** Fires when a symbol has moved by `threshold` since the last optimisation. */
export interface PriceChangeRule {
  kind: "price_change";
  threshold?: number;
}

/** The newest price of a symbol. */
export interface PricePoint {
  price: number;
  timestamp: number;
  source: "real" | "simulated";
  feed: string;
}

/** Newest prices; those that a slow client missed are replaced, never queued. */
export interface PriceUpdateData {
  prices: Record<string, PricePoint>;
}

/** What a result stands on; methods add facts of their own. */
export interface ResultMetadata {
  objective: Objective;
  constraints: Record<string, unknown>;
  method: Method;
  parameters: Record<string, unknown>;
  /** The client's own notes. */
  request_metadata: Record<string, unknown>;
  solver: string;
  /** Seconds in the solver. */
  solve_time: number;
  /** Certified relative distance to the optimum; null where no bound exists. */
  optimality_gap: number | null;
  /** Largest violation of any constraint. */
  max_violation: number;
  /** Constraints that hold the optimum back, with shadow prices. */
  binding_constraints: Array<Record<string, unknown>>;
  /** Share of the portfolio's variance per symbol. */
  risk_contributions: Record<string, number> | null;
  covariance: string;
  seed: number;
  data_version: string;
  /** `real` or `simulated` per symbol. */
  data_sources: Record<string, string>;
  /** Epoch seconds of the newest price used. */
  market_data_timestamp: number;
  /** `start`, `end`, `observations`, `partial`. */
  window: Record<string, unknown>;
  [key: string]: unknown;
}

/** Asks for what was missed since a lost connection. */
export interface ResumeData {
  /** The epoch of the lost connection's frames. */
  epoch: string;
  /** The last sequence number that the client has seen. */
  seq: number;
  /** The client id of the lost connection. */
  client_id: string;
  /** Topics to subscribe to as of `seq`: their news come in order, after what was missed. */
  topics?: Array<string>;
}

/** Ends the replay of missed frames. */
export interface ResumedData {
  /** False when the missed frames are no longer kept: ask again for what matters. */
  recovered: boolean;
  replayed: number;
  epoch: string;
  /** The newest number at this moment: whatever comes from now on is beyond it. */
  seq: number;
}

/** A watched portfolio went beyond one of its limits. */
export interface RiskAlertData {
  portfolio_id: string;
  portfolio_name: string;
  /** `volatility`, `value_at_risk`, `cvar`, `drawdown` or `concentration`. */
  measure: string;
  value: number;
  limit: number;
  /** The same in words. */
  detail: string;
}

/** Alerts and fires when a risk measure rises above `limit`; again once it was below. */
export interface RiskAlertRule {
  kind: "risk_alert";
  measure: "volatility" | "value_at_risk" | "cvar" | "drawdown" | "concentration";
  limit: number;
}

/** Confirms a subscription or its end. */
export interface SubscriptionData {
  topic: string;
  status: "subscribed" | "unsubscribed";
}

/** Fires every `interval` seconds, or at the times (UTC) of a `cron` expression. */
export interface TimeBasedRule {
  kind: "time_based";
  interval?: number | null;
  cron?: string | null;
}

/** Names a topic. */
export interface TopicData {
  /** A topic, or a topic narrowed to one subject: `price_updates:AAPL`. */
  topic: string;
}

export const TRIGGER_VALUES = [
  "manual",
  "price_change",
  "time_based",
  "risk_alert",
  "constraint_violation",
  "market_event",
] as const;
/** What asked for an optimisation. */
export type Trigger = (typeof TRIGGER_VALUES)[number];

/** Asks to watch a portfolio no longer. */
export interface UnwatchData {
  portfolio_id: string;
}

/** Confirms that a portfolio is watched no longer. */
export interface UnwatchedData {
  portfolio_id: string;
  status: "unwatched";
}

/** Asks to watch a portfolio and to optimise it again whenever one of its triggers fires. */
export interface WatchData {
  /** What people call it. */
  name?: string;
  /** What it holds or may hold. */
  symbols: Array<string>;
  /** Shares per symbol; kept until the portfolio is watched anew. */
  holdings?: Record<string, unknown> | null;
  /** Or weights of a paper portfolio, which is rebalanced to every result; equal unless set. */
  weights?: Record<string, unknown> | null;
  objective?: Objective;
  constraints?: Constraints;
  method?: Method;
  parameters?: OptimizationParameters;
  /** What makes it be optimised again; a price_change of 1 % unless set. */
  triggers?: Array<PriceChangeRule | TimeBasedRule | RiskAlertRule | CorrelationRule | NewsRule | CustomRule>;
}

/** Confirms that a portfolio is watched. */
export interface WatchingData {
  portfolio_id: string;
  name: string;
  status: "watching";
  triggers: Array<Record<string, unknown>>;
  standing: PortfolioStandingData;
}

/** Why the server closed a connection; below 4500 a client should not reconnect by itself. */
export const CLOSE_CODE = {
  UNAUTHENTICATED: 4401,
  FORBIDDEN_ORIGIN: 4403,
  TOO_MANY_CONNECTIONS: 4429,
  TOO_MANY_MESSAGES: 4430,
  SERVER_RESTART: 4500,
  SLOW_CONSUMER: 4508,
  INTERNAL_ERROR: 4511,
} as const;

/** The shape of `data` for each type of client frame. */
export interface ClientData {
  auth: AuthData;
  optimization_request: OptimizationRequestData;
  frontier_request: FrontierRequestData;
  optimization_cancel: CancelData;
  subscribe: TopicData;
  unsubscribe: TopicData;
  heartbeat: HeartbeatData;
  resume: ResumeData;
  watch: WatchData;
  unwatch: UnwatchData;
}

/** The envelope of every frame that the server sends. */
export interface Envelope {
  /** Epoch seconds at which the frame was made. */
  timestamp: number;
  /** The connection that receives it. */
  client_id?: string | null;
  /** The client's own top-level `request_id`, echoed. */
  request_id?: string | null;
  /** Grows by one per durable frame of this owner. */
  seq?: number | null;
  /** Names the run of `seq`. */
  epoch?: string | null;
}

export type ServerFrame =
  | (Envelope & { type: "auth"; data: AuthenticatedData })
  | (Envelope & { type: "connection_status"; data: ConnectionStatusData })
  | (Envelope & { type: "portfolio_update"; data: OptimizationQueuedData | OptimizationStartedData | OptimizationProgressData | OptimizationResultData | OptimizationCancelledData | FrontierPointData | FrontierResultData })
  | (Envelope & { type: "price_update"; data: PriceUpdateData })
  | (Envelope & { type: "feed_status"; data: FeedStatusData })
  | (Envelope & { type: "risk_alert"; data: RiskAlertData })
  | (Envelope & { type: "watch"; data: WatchingData })
  | (Envelope & { type: "unwatch"; data: UnwatchedData })
  | (Envelope & { type: "subscribe"; data: SubscriptionData })
  | (Envelope & { type: "unsubscribe"; data: SubscriptionData })
  | (Envelope & { type: "heartbeat"; data: HeartbeatReplyData })
  | (Envelope & { type: "resume"; data: ResumedData })
  | (Envelope & { type: "error"; data: ErrorData });
