/** Light and dark: the system's choice until the user makes one; and its colours for canvases. */
import { Cell } from "./cell";

export type Theme = "light" | "dark";

const STORED = "quantumedge.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function saved(): Theme | null {
  try {
    const value = localStorage.getItem(STORED);
    return value === "light" || value === "dark" ? value : null;
  } catch (error) {
    console.info("the saved theme was not read", error);
    return null;
  }
}

const system = (): Theme => (dark.matches ? "dark" : "light");

export const theme = new Cell<Theme>(saved() ?? system());

export function setTheme(value: Theme): void {
  apply(value);
  try {
    // The system's own choice is followed, not frozen.
    if (value === system()) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, value);
  } catch (error) {
    console.info("the theme was not saved", error);
  }
}

function apply(value: Theme): void {
  document.documentElement.dataset["theme"] = value;
  theme.set(value);
}

export function startTheme(): void {
  apply(theme.value);
  dark.addEventListener("change", () => {
    if (saved() === null) apply(system());
  });
}

let probe: HTMLElement | null = null;

/** A custom property of the style sheet as a colour that a canvas understands. */
export function colour(name: string): string {
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
