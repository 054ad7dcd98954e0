/** Numbers and times as people read them: with units, a true minus sign, and a dash for nothing. */

const NONE = "–";
const NARROW = "\u202f";
const formats = new Map<string, Intl.NumberFormat>();

function decimals(value: number, digits: number): string {
  // Prices are written hundreds of times a second: below a thousand, toFixed says the same.
  if (Math.abs(value) < 999) {
    const text = value.toFixed(digits);
    if (!text.startsWith("-")) return text;
    return Number(text) === 0 ? text.slice(1) : `−${text.slice(1)}`;
  }
  const key = String(digits);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat("en-GB", {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    formats.set(key, format);
  }
  return format.format(value).replace("-", "−");
}

type Maybe = number | null | undefined;

const absent = (value: Maybe): value is null | undefined =>
  value === null || value === undefined || !Number.isFinite(value);

const signed = (value: number, text: string): string => (value > 0 ? `+${text}` : text);

export function number(value: Maybe, digits = 2): string {
  return absent(value) ? NONE : decimals(value, digits);
}

/** A fraction as a percentage: 0.1234 is 12.34 %. */
export function percent(value: Maybe, digits = 2): string {
  return absent(value) ? NONE : `${decimals(value * 100, digits)}${NARROW}%`;
}

export function signedPercent(value: Maybe, digits = 2): string {
  return absent(value) ? NONE : signed(value, percent(value, digits));
}

/** A difference of two fractions, in percentage points. */
export function points(value: Maybe, digits = 2): string {
  if (absent(value)) return NONE;
  const rounded = Number((value * 100).toFixed(digits));
  return rounded === 0 ? "0" : signed(rounded, `${decimals(rounded, digits)}${NARROW}pp`);
}

export function signedNumber(value: Maybe, digits = 2): string {
  return absent(value) ? NONE : signed(value, decimals(value, digits));
}

/** A certified gap: tiny ones are zero to everybody but a numerical analyst. */
export function gap(value: Maybe): string {
  if (absent(value)) return NONE;
  if (Math.abs(value) < 1e-6) return `0${NARROW}%`;
  if (Math.abs(value) < 1e-4) return `<${NARROW}0.01${NARROW}%`;
  return percent(value);
}

export function duration(seconds: Maybe): string {
  if (absent(seconds)) return NONE;
  if (seconds < 0.0995) return `${decimals(seconds * 1000, seconds < 0.01 ? 1 : 0)}${NARROW}ms`;
  if (seconds < 10) return `${decimals(seconds, 2)}${NARROW}s`;
  if (seconds < 120) return `${decimals(seconds, 0)}${NARROW}s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}${NARROW}min ${Math.round(seconds % 60)}${NARROW}s`;
}

export function price(value: Maybe): string {
  if (absent(value)) return NONE;
  return decimals(value, Math.abs(value) < 10 ? 4 : 2);
}

export function age(seconds: number): string {
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)}${NARROW}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NARROW}min`;
  return `${Math.floor(seconds / 3600)}${NARROW}h`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Time of day of a moment today, date and time of an earlier one. */
export function moment(milliseconds: number): string {
  const date = new Date(milliseconds);
  const today = new Date().toDateString() === date.toDateString();
  return (today ? clockFormat : dayFormat).format(date);
}

export function count(amount: number, singular: string, plural = `${singular}s`): string {
  return `${amount.toLocaleString("en-GB")} ${amount === 1 ? singular : plural}`;
}
