/** One labelled input with its unit, its hint and its error. */
import type { ComponentChildren } from "preact";
import { useCell } from "../cell";
import { editText, fieldErrors, form, type NumberField } from "./model";

export const idOf = (path: string): string => `field-${path.replace(/[^\w-]+/g, "-")}`;

export function FieldError({ path }: { path: string }) {
  const message = useCell(fieldErrors).get(path);
  if (!message) return null;
  return (
    <p class="field-error" id={`${idOf(path)}-error`}>
      {message}
    </p>
  );
}

export function NumberInput({ field }: { field: NumberField }) {
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
      <FieldError path={field.path} />
    </div>
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
