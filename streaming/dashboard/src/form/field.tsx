/** One labelled input with its unit, its hint and its error. */
import type { ComponentChildren } from "preact";
import { useCell } from "../cell";
import { editText, fieldErrors, form, type NumberField } from "./model";

export const idOf = (path: string): string => `field-${path.replace(/[^\w-]+/g, "-")}`;

/** Focuses a field, or the nearest thing to it that is on the page. */
export function goTo(event: Event, path: string): void {
  event.preventDefault();
  let target: HTMLElement | null = null;
  for (let name = path; name && !target; name = name.replace(/(\[\d+\]|\.?[^.[\]]+)$/, "")) {
    target = document.getElementById(idOf(name));
  }
  target?.focus();
}

export function FieldError({ path, label }: { path: string; label?: string }) {
  const message = useCell(fieldErrors).get(path);
  if (!message) return null;
  return (
    <p class="field-error" id={`${idOf(path)}-error`}>
      {label && <b>{label}: </b>}
      {message}
    </p>
  );
}

function NumberInput({ field }: { field: NumberField }) {
  const state = useCell(form);
  const errors = useCell(fieldErrors);
  const id = idOf(field.path);
  const wrong = errors.has(field.path);
  return (
    <div class={wrong ? "field wrong" : "field"}>
      <label for={id}>{field.label}</label>
      <span class="input">
        <input
          id={id}
          type="text"
          inputMode={field.whole ? "numeric" : "decimal"}
          autocomplete="off"
          placeholder={field.placeholder}
          value={state.text[field.path] ?? ""}
          aria-invalid={wrong}
          aria-describedby={wrong ? `${id}-error ${id}-hint` : `${id}-hint`}
          onInput={(event) => editText(field.path, event.currentTarget.value)}
        />
        {field.unit && (
          <span class={field.unit.length > 2 ? "unit long" : "unit"}>{field.unit}</span>
        )}
      </span>
      <p class="hint" id={`${id}-hint`}>
        {field.hint}
      </p>
    </div>
  );
}

/** Number fields side by side; their errors stand below them all, where a sentence has room. */
export function Fields({ fields, children }: { fields: readonly NumberField[]; children?: ComponentChildren }) {
  return (
    <>
      <div class="fields">
        {fields.map((field) => (
          <NumberInput key={field.path} field={field} />
        ))}
        {children}
      </div>
      {fields.map((field) => (
        <FieldError key={field.path} path={field.path} label={field.label} />
      ))}
    </>
  );
}

interface ToggleProps {
  path: string;
  label: string;
  hint: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

export function Toggle({ path, label, hint, checked, onChange }: ToggleProps) {
  const id = idOf(path);
  const wrong = useCell(fieldErrors).has(path);
  return (
    <div class={wrong ? "toggle wrong" : "toggle"}>
      <input
        id={id}
        type="checkbox"
        checked={checked}
        aria-invalid={wrong}
        aria-describedby={`${id}-hint`}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      <p class="hint" id={`${id}-hint`}>
        {hint}
      </p>
      <FieldError path={path} />
    </div>
  );
}

export function Section({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <fieldset class="form-section">
      <legend>{title}</legend>
      {children}
    </fieldset>
  );
}
