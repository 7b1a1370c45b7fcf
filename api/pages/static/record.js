// Records and the texts that stand in inputs: both ways, and the difference of two.

export function textOf(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (Array.isArray(value) && !value.some((part) => (part !== null && typeof part === "object") || String(part).includes("\n"))) return value.map(textOf).join("\n");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What an input's text says, as POST /feedback takes it: printed texts as they are. */
export function valueOf(kind, text) {
  const plain = text.trim();
  if (kind === "lines") return plain.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!plain) return null;
  if (kind === "boolean") return plain === "true";
  if (kind === "json") return JSON.parse(plain);
  return kind === "markdown" ? text : plain;
}

export function at(record, path) {
  return path.split(".").reduce((value, part) => (value === null || value === undefined ? undefined : value[part]), record);
}

export function put(record, path, value) {
  const parts = path.split(".");
  const last = parts.pop();
  let place = record;
  for (const part of parts) place = place[part] ??= {};
  place[last] = value;
}

/** The record with a person's fields over it: objects field by field, lists whole. */
export function merge(record, human) {
  const merged = { ...record };
  for (const [name, value] of Object.entries(human ?? {})) {
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    merged[name] = isObject ? merge(merged[name] ?? {}, value) : value;
  }
  return merged;
}

const NUMBER = /(?:[A-Z]{2,3}\s?|[$€£¥₹]\s?)?[-+]?\d(?:[\d.,'’ ]*\d)?(?:\s?%)?/g;
const DATES = [
  /\d{4}[-/.]\d{1,2}[-/.]\d{1,2}/, /\d{1,2}[-/.]\s?\d{1,2}[-/.]\s?\d{2,4}/,
  /\d{1,2}[\s-]*(?:[A-Za-z]{3,9})\.?[\s,-]*\d{2,4}/, /[A-Za-z]{3,9}\.?\s+\d{1,2},?\s+\d{4}/,
];
const TIME = /\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?/;

/** The part of a line that a field of this kind would hold; the whole line where none stands out. */
export function partOf(kind, text) {
  if (["money", "number", "integer", "rate"].includes(kind)) {
    const found = text.match(NUMBER);
    return found ? found.at(-1).trim() : text;
  }
  if (kind === "date") return DATES.map((form) => text.match(form)?.[0]).find(Boolean) ?? text;
  if (kind === "time") return text.match(TIME)?.[0] ?? text;
  if (kind === "code") {
    const behind = text.match(/[:#]\s*(\S.*)$/);
    return behind ? behind[1] : text;
  }
  return text;
}
