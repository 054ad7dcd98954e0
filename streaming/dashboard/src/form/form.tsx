/** The form for any optimisation. */
import { useEffect, useRef } from "preact/hooks";
import { socket, view } from "../app";
import { useCell } from "../cell";
import { runs, selected, submit } from "../runs";
import { METHOD_VALUES, OBJECTIVE_VALUES, type Method, type Objective } from "../wire";
import { methodWords, objectiveWords } from "../words";
import { AssetTable, Groups } from "./assets";
import { Fields, goTo, idOf, Section, Toggle } from "./field";
import {
  BASIC_FIELDS,
  build,
  CONCERNED,
  DATA_FIELDS,
  edit,
  errorsAt,
  fieldErrors,
  form,
  HOLDING_FIELDS,
  METHOD_FIELDS,
  RISK_FIELDS,
} from "./model";
import { PRESETS } from "./presets";
import { Symbols } from "./symbols";

/** The run that the form sent last; its refusal is shown at the fields. */
let lastSent: string | null = null;

/** Sends the form, or shows what cannot be read; true when it was sent. */
function send(): boolean {
  const { request, errors } = build(form.value);
  fieldErrors.set(errors);
  if (errors.size > 0) return false;
  lastSent = submit(socket, request).key;
  view.set("result");
  showWorkspace();
  return true;
}

/** On a narrow screen the result is drawn below the form: goes there. */
function showWorkspace(): void {
  const workspace = document.querySelector(".workspace");
  if (workspace && workspace.getBoundingClientRect().top > window.innerHeight / 2) {
    workspace.scrollIntoView({ block: "start" });
  }
}

/** Lays the server's refusal of the last request at the fields. */
function useRefusals(): void {
  const all = useCell(runs);
  const shown = useRef<string | null>(null);
  const refused = all.find((run) => run.key === lastSent && run.error);
  useEffect(() => {
    if (!refused?.error || shown.current === refused.key) return;
    shown.current = refused.key;
    if (refused.error.fields.length > 0) {
      fieldErrors.set(errorsAt(refused.error.fields, refused.error.detail));
    }
  }, [refused]);
}

export function OptimizeForm() {
  useRefusals();
  const connection = useCell(socket.state);
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (send()) return;
    // Ends where the reader has to look.
    requestAnimationFrame(() =>
      document.querySelector<HTMLElement>("#optimize [aria-invalid=true]")?.focus(),
    );
  };
  return (
    <form id="optimize" class="optimize" onSubmit={onSubmit} noValidate>
      <Presets />
      <Symbols />
      <Objectives />
      <Methods />
      <Section title="Constraints">
        <div class="toggles">
          <LongOnly />
          <FullyInvested />
        </div>
        <Fields fields={BASIC_FIELDS} />
      </Section>
      <Advanced />
      <div class="actions">
        <ErrorSummary />
        <button type="submit" class="primary">
          Optimise
        </button>
        {connection.phase !== "open" && (
          <p class="hint">You are offline; it will be sent once the connection is back.</p>
        )}
      </div>
    </form>
  );
}

function Presets() {
  return (
    <div class="presets" role="group" aria-label="Presets">
      {PRESETS.map(({ name, hint, part }) => (
        <button
          key={name}
          type="button"
          title={hint}
          onClick={() => {
            edit(part);
            fieldErrors.set(new Map());
          }}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

function Objectives() {
  const { objective } = useCell(form);
  const offered = useCell(socket.state).hello?.objectives ?? OBJECTIVE_VALUES;
  const wrong = useCell(fieldErrors).get("objective");
  return (
    <div class={wrong ? "field wrong" : "field"}>
      <label for="field-objective">Objective</label>
      <select
        id="field-objective"
        aria-describedby="objective-hint"
        aria-invalid={wrong !== undefined}
        value={objective}
        onChange={(event) => edit({ objective: event.currentTarget.value as Objective }, "objective")}
      >
        {offered.map((value) => (
          <option key={value} value={value}>
            {objectiveWords(value).name}
          </option>
        ))}
      </select>
      <p class="hint" id="objective-hint">
        {objectiveWords(objective).hint}
      </p>
      {wrong && <p class="field-error">{wrong}</p>}
    </div>
  );
}

function Methods() {
  const { method } = useCell(form);
  const hello = useCell(socket.state).hello;
  const wrong = useCell(fieldErrors).get("method");
  return (
    <fieldset class={wrong ? "methods wrong" : "methods"}>
      <legend>Method</legend>
      <div class="method-choices">
        {METHOD_VALUES.map((value: Method) => (
          <label key={value} class="choice">
            <input
              type="radio"
              name="method"
              value={value}
              checked={value === method}
              disabled={hello !== null && !hello.methods.includes(value)}
              onChange={() => edit({ method: value }, "method")}
            />
            <span>{methodWords(value).name}</span>
          </label>
        ))}
      </div>
      <p class="hint" aria-live="polite">
        {methodWords(method).hint}
      </p>
      {wrong && <p class="field-error">{wrong}</p>}
    </fieldset>
  );
}

function LongOnly() {
  const { longOnly } = useCell(form);
  return (
    <Toggle
      path="constraints.long_only"
      label="Long only"
      hint="No short positions"
      checked={longOnly}
      onChange={(checked) => edit({ longOnly: checked }, "constraints.long_only")}
    />
  );
}

function FullyInvested() {
  const { sumToOne } = useCell(form);
  return (
    <Toggle
      path="constraints.sum_to_one"
      label="Fully invested"
      hint="Otherwise the rest is cash"
      checked={sumToOne}
      onChange={(checked) => edit({ sumToOne: checked }, "constraints.sum_to_one")}
    />
  );
}

function Advanced() {
  const state = useCell(form);
  const errors = useCell(fieldErrors);
  const basic = new Set(["symbols", "objective", "method", "constraints.long_only", "constraints.sum_to_one"]);
  for (const field of BASIC_FIELDS) basic.add(field.path);
  const hidden = [...errors.keys()].some((path) => !basic.has(path) && !path.startsWith("symbols["));
  const inUse =
    Object.keys(state.text).filter((path) => !basic.has(path)).length + state.groups.length;
  const methodFields = METHOD_FIELDS.filter((field) => field.methods?.includes(state.method));
  return (
    <details class="advanced" open={hidden || undefined}>
      <summary>
        Advanced
        <span class="hint">
          {inUse > 0 ? `${inUse} in use` : "risk limits, holdings, costs, groups, data, method"}
        </span>
      </summary>
      <Section title="Risk and return">
        <Fields fields={RISK_FIELDS} />
      </Section>
      <Section title="Positions and trading">
        <Fields fields={HOLDING_FIELDS} />
      </Section>
      <Section title="Single symbols">
        <AssetTable />
      </Section>
      <Section title="Groups">
        <Groups />
      </Section>
      <Section title="Data">
        <Fields fields={DATA_FIELDS}>
          <Covariance />
        </Fields>
        <Toggle
          path="parameters.include_live"
          label="Include today"
          hint="Adds today's unfinished return, from the newest quotes"
          checked={state.includeLive}
          onChange={(checked) => edit({ includeLive: checked }, "parameters.include_live")}
        />
      </Section>
      {methodFields.length > 0 && (
        <Section title={`${methodWords(state.method).name}`}>
          <Fields fields={methodFields} />
        </Section>
      )}
    </details>
  );
}

const COVARIANCES = { "": "Automatic", sample: "Sample", ledoit_wolf: "Ledoit–Wolf" } as const;

function Covariance() {
  const { covariance } = useCell(form);
  const id = idOf("parameters.covariance");
  return (
    <div class="field">
      <label for={id}>Covariance</label>
      <select
        id={id}
        value={covariance}
        onChange={(event) =>
          edit(
            { covariance: event.currentTarget.value as keyof typeof COVARIANCES },
            "parameters.covariance",
          )
        }
      >
        {Object.entries(COVARIANCES).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <p class="hint">Shrunk when history is short</p>
    </div>
  );
}

/** Says what was refused, with links to the fields; errors without a field stand here alone. */
function ErrorSummary() {
  const errors = useCell(fieldErrors);
  const all = useCell(runs);
  useCell(selected);
  const refused = all.find((run) => run.key === lastSent && run.error)?.error;
  if (errors.size === 0 && !(refused && refused.fields.length === 0)) return null;
  return (
    <div class="error-summary" role="alert">
      <b>{refused && errors.size > 0 ? refused.error : (refused?.error ?? "This cannot be sent yet")}</b>
      {errors.size > 0 ? (
        <ul>
          {[...errors].filter(([, message]) => message !== CONCERNED).map(([path, message]) => (
            <li key={path}>
              <a href={`#${idOf(path)}`} onClick={(event) => goTo(event, path)}>
                {message}
              </a>
            </li>
          ))}
        </ul>
      ) : (
        <p>{refused?.detail}</p>
      )}
    </div>
  );
}
