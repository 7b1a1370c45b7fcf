// A schema that is checked while it is written, against a sample record and a stored document.

import { api, complain, h, Problem, toast } from "./base.js";

const schema = document.getElementById("schema");
const sample = document.getElementById("sample");
const name = document.getElementById("name");
const save = document.getElementById("save");
const PAUSE_MS = 250;
let timer = null;
let asked = 0;

for (const input of [schema, sample, name]) {
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, PAUSE_MS); });
}
for (const area of [schema, sample]) {
  area.addEventListener("keydown", (event) => {
    // Two spaces; with Escape before it, Tab leaves as everywhere.
    if (event.key === "Escape") area.dataset.leave = "true";
    else if (event.key === "Tab" && !event.shiftKey && area.dataset.leave !== "true") {
      event.preventDefault();
      area.setRangeText("  ", area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input"));
    } else delete area.dataset.leave;
  });
}

function parse(area) {
  try { return { value: JSON.parse(area.value) }; } catch (error) { return { why: error.message }; }
}

function verdict(id, kind, ...children) {
  document.getElementById(id).replaceChildren(h("div", { class: `banner ${kind}` }, h("span", { class: "grow" }, ...children)));
}

async function check() {
  asked += 1;
  const mine = asked;
  const draft = parse(schema);
  if (draft.why) { verdict("schema-said", "bad", `It is no JSON yet: ${draft.why}`); save.disabled = true; return; }
  const record = sample.value.trim() ? parse(sample) : { value: null };
  let found;
  try {
    found = await api("POST", "/types/check", { name: name.value || "draft", draft: draft.value, sample: record.value ?? null });
  } catch (error) {
    if (mine === asked) verdict("schema-said", "bad", error instanceof Problem ? Object.values(error.body.faults ?? { "": error.message }).join("; ") : error.message);
    save.disabled = true;
    return;
  }
  if (mine !== asked) return;
  save.disabled = !found.fits;
  if (!found.fits) {
    const line = lineOf(found.path);
    verdict("schema-said", "bad", h("b", {}, found.path || "The schema"), `: ${found.why}.`,
      line ? h("button", { type: "button", class: "button small quiet", click: () => goTo(line) }, `Line ${line}`) : null);
    return;
  }
  verdict("schema-said", "", `It is accepted: ${found.fields.length} ${found.fields.length === 1 ? "field" : "fields"}.`);
  document.getElementById("field-rows").replaceChildren(...found.fields.map((field) =>
    h("tr", {}, h("td", {}, h("code", {}, field.path)), h("td", {}, field.kind), h("td", { class: "muted" }, field.description))));
  if (record.why) { verdict("sample-said", "bad", `The sample is no JSON yet: ${record.why}`); return; }
  if (!found.sample) { document.getElementById("sample-said").replaceChildren(); return; }
  const faults = Object.entries(found.sample.faults);
  if (faults.length) verdict("sample-said", "bad", ...faults.flatMap(([path, why], index) => [index ? h("br") : "", h("b", {}, path || "The sample"), `: ${why}`]));
  else verdict("sample-said", "", "The sample fits. As it would be stored: ", h("code", {}, JSON.stringify(found.sample.record)));
}

/** The line of a JSON pointer: its keys are looked for one behind the other. */
function lineOf(pointer) {
  let at = 0;
  for (const part of (pointer ?? "").split("/").slice(1)) {
    const key = `"${part.replaceAll("~1", "/").replaceAll("~0", "~")}"`;
    const found = schema.value.indexOf(key, at);
    if (found >= 0) at = found + key.length;
  }
  return at ? schema.value.slice(0, at).split("\n").length : null;
}

function goTo(line) {
  const lines = schema.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  schema.focus();
  schema.setSelectionRange(start, start + lines[line - 1].length);
}

save.addEventListener("click", async () => {
  if (!name.reportValidity()) return;
  save.disabled = true;
  try {
    const stored = await api("PUT", `/document-types/${encodeURIComponent(name.value)}`, JSON.parse(schema.value));
    toast(`Saved as version ${stored.version}. POST /extract takes it at once.`);
    document.getElementById("version").textContent = `Version ${stored.version}`;
    history.replaceState(null, "", `/types/${stored.name}`);
    name.readOnly = true;
  } catch (error) { complain(error); }
  save.disabled = false;
});

document.getElementById("try")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const draft = parse(schema);
  if (draft.why) { toast("The schema is no JSON yet.", { kind: "bad" }); return; }
  button.disabled = true;
  const result = document.getElementById("tried");
  result.textContent = "Is being read…";
  try {
    const found = await api("POST", "/types/try", { name: name.value || "draft", draft: draft.value, prediction_id: document.getElementById("document").value });
    result.textContent = JSON.stringify(found.record, null, 2);
  } catch (error) {
    result.textContent = "";
    complain(error);
  }
  button.disabled = false;
});

check();
