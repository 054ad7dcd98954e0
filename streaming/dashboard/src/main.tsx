/** The dashboard: draws the page and starts the connection. */
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/form.css";
import "./styles/market.css";
import "./styles/panels.css";
import { render } from "preact";
import { start, view } from "./app";
import { useCell } from "./cell";
import { OptimizeForm } from "./form/form";
import { Compare } from "./panels/compare";
import { ConnectionBanner, Header } from "./panels/header";
import { History } from "./panels/history";
import { Market } from "./panels/market";
import { RunPanel } from "./panels/run";
import { Tabs } from "./panels/tabs";
import { Watched } from "./panels/watched";
import { dismiss, hasEnded, notices, runs, selected } from "./runs";
import { startTheme } from "./theme";

function Workspace() {
  const current = useCell(view);
  const underWay = useCell(runs).filter((run) => !hasEnded(run)).length;
  return (
    <section class="panel workspace" aria-label="Results">
      <Tabs
        label="Workspace"
        tabs={[
          { key: "result", title: "Result", ...(underWay > 0 ? { badge: String(underWay) } : {}) },
          { key: "compare", title: "Compare" },
          { key: "watched", title: "Watched" },
          { key: "history", title: "History" },
        ]}
        current={current}
        onChange={(key) => view.set(key)}
      >
        {current === "result" && <RunPanel />}
        {current === "compare" && <Compare />}
        {current === "watched" && <Watched />}
        {current === "history" && <History />}
      </Tabs>
    </section>
  );
}

/** Brings the run of a notice onto the page. */
function show(notice: number, run: string): void {
  selected.set(run);
  view.set("result");
  dismiss(notice);
}

function Notices() {
  const all = useCell(notices);
  return (
    <div class="notices" role="log" aria-label="Notices">
      {all.map(({ id, tone, text, run }) => (
        <div key={id} class={`notice ${tone}`}>
          <p>{text}</p>
          {run !== null && (
            <button type="button" class="quiet" onClick={() => show(id, run)}>
              Show
            </button>
          )}
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

function App({ adminUrl }: { adminUrl: string }) {
  return (
    <>
      <a class="skip" href="#field-symbols">
        Skip to the form
      </a>
      <Header adminUrl={adminUrl} />
      <ConnectionBanner />
      <main>
        <section class="panel request" aria-labelledby="optimize-title">
          <header>
            <h2 id="optimize-title">Optimise</h2>
          </header>
          <OptimizeForm />
        </section>
        <Workspace />
        <Market />
      </main>
      <Notices />
    </>
  );
}

const root = document.getElementById("dashboard");
if (root) {
  startTheme();
  root.replaceChildren();
  render(<App adminUrl={root.dataset["admin"] ?? "/admin/"} />, root);
  start();
}
