/** The connection: reconnects with backoff, keeps itself alive, and resumes where it was. */
import { Cell } from "./cell";
import type { ClientData, ConnectionStatusData, ServerFrame } from "./wire";

export interface Connection {
  /** `stopped` means that the server asked not to be called again. */
  phase: "connecting" | "open" | "waiting" | "stopped";
  /** Failed attempts since the last success. */
  attempt: number;
  /** When the next attempt begins, in epoch milliseconds. */
  retryAt: number | null;
  /** Why the last connection ended. */
  reason: string | null;
  /** Round trip of the newest heartbeat, in milliseconds. */
  latency: number | null;
  hello: ConnectionStatusData | null;
  resumed: { recovered: boolean; replayed: number; at: number } | null;
}

interface Position {
  epoch: string;
  seq: number;
  client_id: string;
}

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
const HEARTBEAT = 25_000;
const SILENCE = 10_000;
const SETTLED = 3_000;
const RESUME = "resume";
const TOPICS = ["portfolio_updates", "price_updates", "risk_alerts"] as const;

export class Socket {
  readonly state = new Cell<Connection>({
    phase: "connecting",
    attempt: 0,
    retryAt: null,
    reason: null,
    latency: null,
    hello: null,
    resumed: null,
  });
  /** Called on every connection that follows a lost one, once nothing more will be replayed. */
  onRestored: (recovered: boolean) => void = () => {};
  onGreeted: () => void = () => {};

  readonly #url: string;
  readonly #onFrame: (frame: ServerFrame) => void;
  #socket: WebSocket | null = null;
  #position: Position | null = null;
  #retry: number | undefined;
  #heartbeat: number | undefined;
  #silence: number | undefined;
  #beatSent = 0;

  constructor(url: string, onFrame: (frame: ServerFrame) => void) {
    this.#url = url;
    this.#onFrame = onFrame;
  }

  connect(): void {
    window.clearTimeout(this.#retry);
    this.#drop();
    this.#change({ phase: "connecting", retryAt: null });
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = (event: MessageEvent<string>) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event);
  }

  /** Sends a frame; false when there is no connection to send it on. */
  send<T extends keyof ClientData>(type: T, data: ClientData[T], requestId?: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    const frame: Record<string, unknown> = { type, data, timestamp: Date.now() / 1000 };
    if (requestId !== undefined) frame["request_id"] = requestId;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #receive(text: string): void {
    window.clearTimeout(this.#silence);
    const frame = JSON.parse(text) as ServerFrame;
    if (frame.type === "connection_status") this.#greeted(frame.data);
    else if (frame.type === "heartbeat") this.#change({ latency: performance.now() - this.#beatSent });
    this.#remember(frame);
    if (frame.type === "resume") this.#resumed(frame.data.recovered, frame.data.replayed);
    else if (frame.type === "error" && frame.request_id === RESUME) this.#resumed(false, 0);
    else this.#onFrame(frame);
  }

  #greeted(hello: ConnectionStatusData): void {
    const lost = this.#position;
    this.#change({ phase: "open", attempt: 0, reason: null, hello, resumed: null });
    for (const topic of TOPICS) this.send("subscribe", { topic });
    // Until the replay has ended, the next connection would have to begin where this one did.
    if (lost) this.send("resume", lost, RESUME);
    else this.#position = { epoch: hello.epoch, seq: hello.seq, client_id: hello.client_id };
    this.#beat();
    window.clearInterval(this.#heartbeat);
    this.#heartbeat = window.setInterval(() => this.#beat(), HEARTBEAT);
    // The first beat competes with everything that a new page loads; this one measures the line.
    window.setTimeout(() => this.#beat(), SETTLED);
    this.onGreeted();
  }

  #resumed(recovered: boolean, replayed: number): void {
    const { hello } = this.state.value;
    if (hello) {
      const { epoch, seq, client_id } = hello;
      const known = this.#position?.epoch === epoch ? this.#position.seq : 0;
      this.#position = { epoch, seq: Math.max(known, seq), client_id };
    }
    this.#change({ resumed: { recovered, replayed, at: Date.now() } });
    this.onRestored(recovered);
  }

  #remember(frame: ServerFrame): void {
    if (typeof frame.seq !== "number" || !frame.epoch || !this.#position) return;
    const seq = frame.epoch === this.#position.epoch ? Math.max(frame.seq, this.#position.seq) : frame.seq;
    this.#position = { ...this.#position, epoch: frame.epoch, seq };
  }

  #beat(): void {
    this.#beatSent = performance.now();
    if (!this.send("heartbeat", { status: "alive" })) return;
    window.clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#lost("the server did not answer"), SILENCE);
  }

  #closed(event: CloseEvent): void {
    const said = event.reason || closeWords(event.code);
    if (event.code >= 4000 && event.code < 4500) {
      this.#drop();
      this.#change({ phase: "stopped", reason: said, retryAt: null, latency: null });
      return;
    }
    this.#lost(said);
  }

  #lost(reason: string): void {
    this.#drop();
    const attempt = this.state.value.attempt + 1;
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempt - 1));
    // Jitter, so that all clients of a restarted server do not come back at once.
    const delay = longest * (0.5 + Math.random() / 2);
    this.#change({ phase: "waiting", attempt, reason, retryAt: Date.now() + delay, latency: null });
    this.#retry = window.setTimeout(() => this.connect(), delay);
  }

  #drop(): void {
    window.clearInterval(this.#heartbeat);
    window.clearTimeout(this.#silence);
    if (!this.#socket) return;
    this.#socket.onclose = null;
    this.#socket.onmessage = null;
    this.#socket.close();
    this.#socket = null;
  }

  #change(part: Partial<Connection>): void {
    this.state.update((state) => ({ ...state, ...part }));
  }
}

function closeWords(code: number): string {
  if (code === 1006) return "the server cannot be reached";
  if (code === 1012 || code >= 4500) return "the server restarts";
  return `the server closed the connection (code ${code})`;
}
