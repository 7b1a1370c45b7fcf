// The review of one document: keyboard, drafts, lease, saving, and what to do when two collide.

import { api, ask, complain, h, Problem, toast, Unreachable } from "./base.js";
import { Draft } from "./drafts.js";
import { Form } from "./form.js";
import { Lease, settle } from "./lease.js";
import { pickLine } from "./pick.js";
import { merge, put, textOf } from "./record.js";
import { Viewer } from "./viewer.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const frame = read("frame");
const known = read("known");
const pages = read("pages");
const $ = (id) => document.getElementById(id);
const RETRY_MS = 3000;
const POLL_MS = 1500;

let corrections = known.corrections;
let sending = false;
let leaving = false;
const seen = new Set(); // fields that Enter has left behind
let target = null; // the field that a click on the image goes to

const draft = new Draft(frame.owner, frame.id);
const root = $("fields");
const viewer = new Viewer(pages, frame.images, { line: takeLine, box: readBox });
const form = new Form(root, known.record, changed);

// ---- fields and boxes, both ways

function spots() {
  return [...root.querySelectorAll("[data-box]")].map((place) => ({
    path: form.pathOf(place), page: Number(place.dataset.page), box: place.dataset.box.split(" ").map(Number),
    level: place.classList.contains("changed") ? "human" : place.className.match(/level-(\w+)/)?.[1] ?? "none",
  }));
}

root.addEventListener("activate", (event) => {
  target = form.active;
  viewer.focus(event.detail);
});
root.addEventListener("click", (event) => {
  const field = event.target.closest(".locate")?.closest(".field");
  if (field) {
    form.activate(field);
    if (innerWidth <= 820) $("view").scrollIntoView();
  }
});

function takeLine(line) {
  // A click on the box of another field goes there; with a field chosen, the line is its value.
  if (!target) {
    const spot = spots().find((each) => each.page === line.page && overlaps(each.box, line.box));
    if (spot) form.input(form.find(spot.path))?.focus();
    else toast("Choose a field first, then click its line.");
    return;
  }
  form.set(target, line.text, { spot: line });
  viewer.mark(spots());
  viewer.focus(form.pathOf(target), false);
  form.input(target).focus({ preventScroll: true });
}

function overlaps(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}

async function readBox(page, box) {
  const place = target;
  viewer.draw(false);
  if (!place) { toast("Choose a field first, then draw the box."); return; }
  viewer.tell("Reading…");
  try {
    const found = await api("POST", `/review/${frame.id}/region`, { page, box });
    if (!found.text) { toast("No text was found in the box.", { kind: "bad" }); return; }
    form.set(place, found.text, { spot: { page, box } });
    viewer.mark(spots());
    viewer.focus(form.pathOf(place), false);
    form.input(place).focus({ preventScroll: true });
  } catch (error) { complain(error); } finally { viewer.tell(""); }
}

// ---- what is typed is kept

function changed() {
  if (form === undefined) return;
  const count = Object.keys(leaves(correctionOf() ?? {})).length;
  $("accept-text").textContent = count ? `Accept with ${count} ${count === 1 ? "correction" : "corrections"}` : "Accept all";
  $("partial").hidden = !count;
  $("partial").textContent = count === 1 ? "Save only this" : "Save only these";
  $("undo").disabled = !form.past.length && !last();
  if (form.dirty) {
    if (!draft.write(form.state(), corrections)) notice("kept", "warn", "This browser keeps no drafts: what you type is lost with the page.");
  } else draft.clear();
}

function correctionOf() {
  try { return form.correction(); } catch { return {}; }
}

function restoreDraft() {
  const kept = draft.read();
  if (!kept) return;
  form.write(kept.state);
  const time = new Date(kept.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  notice("draft", "", `What you typed at ${time} and had not saved is back.`, {
    text: "Discard it", run: () => { form.write(form.first); draft.clear(); drop("draft"); },
  });
  if (kept.corrections !== corrections) notice("stale", "warn", "Somebody has saved a correction since; saving shows you both.");
}

function notice(name, kind, text, action = null) {
  drop(name);
  const entry = h("div", { class: `banner ${kind}`, "data-notice": name, role: kind ? "alert" : "status" }, h("span", { class: "grow" }, text));
  if (action) entry.append(h("button", { class: "button small", type: "button", click: action.run }, action.text));
  $("notices").prepend(entry);
}

function drop(name) { document.querySelector(`[data-notice="${name}"]`)?.remove(); }

// ---- whose document it is

const lease = new Lease(frame.id, (held) => {
  drop("lease");
  if (!held.mine) {
    notice("lease", "warn", `${held.reviewer} is reviewing this document. You can look; what both save is compared.`, {
      text: "Take it over", run: () => lease.take(true),
    });
  }
  if (held.corrections > corrections && !sending && !leaving) notice("stale", "warn", "Somebody has saved a correction meanwhile; saving shows you both.");
});

// ---- saving

/** Accepts, with what was changed; `only` says nothing about what was left alone. */
async function save(verdict = null, { only = false } = {}) {
  if (sending || $("accept").disabled) return;
  form.commit();
  form.pardon();
  let record = null;
  if (verdict === null) {
    try { record = form.correction(); } catch { toast("A value that is edited as JSON is no JSON.", { kind: "bad" }); return; }
    if (only && !record) { toast("Nothing is changed."); return; }
    verdict = record ? "corrected" : "correct";
  }
  sending = true;
  $("accept").disabled = true;
  try {
    await send({ prediction_id: frame.id, verdict, record, confirms_rest: Boolean(record) && !only });
  } finally {
    sending = false;
    $("accept").disabled = false;
  }
}

/** Sends until the server has answered: a lost connection is waited out, and sending twice is as once. */
async function send(body) {
  for (;;) {
    try {
      await api("POST", "/feedback", { ...body, expected_corrections: corrections });
      break;
    } catch (error) {
      if (error instanceof Unreachable) {
        if (form.dirty) draft.write(form.state(), corrections);
        notice("offline", "warn", "No connection. Your work is kept on this device and is sent as soon as the service answers.");
        await pause(RETRY_MS);
        continue;
      }
      drop("offline");
      if (error instanceof Problem && error.slug === "correction-conflict") { await collide(body, error.body.found); return; }
      if (error instanceof Problem && error.body.faults) {
        const rest = form.refuse(error.body.faults);
        toast(rest.length ? rest.join("; ") : "The server does not accept a value; it says why at the field.", { kind: "bad" });
        return;
      }
      if (error instanceof Problem && error.status === 401 && form.dirty) draft.write(form.state(), corrections);
      complain(error);
      return;
    }
  }
  drop("offline");
  leaving = true;
  draft.clear();
  remember(body.verdict);
  await goOn();
}

function pause(milliseconds) {
  return new Promise((resolve) => {
    const end = () => { removeEventListener("online", end); clearTimeout(timer); resolve(); };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end);
  });
}

/** Leaves by path; a list is one. */
function leaves(record, prefix = "") {
  const found = {};
  for (const [name, value] of Object.entries(record ?? {})) {
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    Object.assign(found, isObject ? leaves(value, `${prefix}${name}.`) : { [`${prefix}${name}`]: value });
  }
  return found;
}

async function collide(body, found) {
  let history;
  try { history = await api("GET", `/feedback/${frame.id}`); } catch (error) { complain(error); return; }
  const latest = history.corrections.at(-1);
  const theirs = leaves(latest.record ?? {});
  const yours = leaves(body.record ?? {});
  const whole = leaves(known.record);
  for (const path of Object.keys(theirs)) if (!(path in yours)) yours[path] = whole[path] ?? null;
  for (const path of Object.keys(yours)) if (!(path in theirs)) theirs[path] = whole[path] ?? null;
  const labelOf = (path) => form.find(path)?.querySelector("label")?.textContent ?? path.replaceAll("_", " ").replaceAll(".", " ");
  const time = new Date(latest.created_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const chosen = await settle({ theirs, yours, who: latest.reviewer, when: `at ${time}`, textOf, labelOf });
  if (chosen === null) return;
  if (chosen === "keep") {
    draft.clear();
    leaving = true;
    await goOn();
    return;
  }
  const record = {};
  for (const path of Object.keys(yours)) put(record, path, chosen.includes(path) ? theirs[path] : yours[path]);
  corrections = found ?? history.corrections.length;
  const some = Object.keys(record).length > 0;
  // Who accepted the document accepts it with the choice too.
  const rest = some && (body.confirms_rest || body.verdict === "correct");
  await send({ prediction_id: frame.id, verdict: some ? "corrected" : body.verdict, record: some ? record : null, confirms_rest: rest });
}

// ---- on to the next, and back

async function goOn() {
  leaving = true;
  const separator = frame.query ? "&" : "?";
  try {
    const { id } = await api("GET", `/review/next${frame.query}${separator}after=${frame.id}`);
    location.assign(id ? `/review/${id}${frame.query}` : `/${frame.query}`);
  } catch { location.assign(`/${frame.query}`); }
}

function remember(verdict) {
  sessionStorage.setItem("docloop:last", JSON.stringify({ id: frame.id, title: frame.title, verdict, time: Date.now() }));
}

function last() {
  try {
    const kept = JSON.parse(sessionStorage.getItem("docloop:last"));
    return kept && kept.id !== frame.id ? kept : null;
  } catch { return null; }
}

function undo() {
  if (form.undo()) { viewer.mark(spots()); return; }
  const before = last();
  if (before) location.assign(`/review/${before.id}${frame.query}`);
}

function greet() {
  const before = last();
  if (!before || before.told || Date.now() - before.time > 20_000) return;
  sessionStorage.setItem("docloop:last", JSON.stringify({ ...before, told: true }));
  const word = { correct: "Accepted", corrected: "Corrected", unreadable: "Called unreadable" }[before.verdict];
  toast(`${word}: ${before.title}`, { action: { text: "Undo", run: undo }, seconds: 5 });
}

// ---- keyboard

function step(direction) {
  const places = form.places().filter((place) => place.offsetParent !== null);
  const here = places.indexOf(form.active);
  const next = places[Math.min(places.length - 1, Math.max(0, here + direction))];
  form.input(next)?.focus();
}

/** To the next field that needs a look; to the button that accepts where none is left. */
function nextDoubt() {
  form.commit();
  const places = form.places().filter((place) => place.offsetParent !== null);
  if (form.active) seen.add(form.active);
  const here = places.indexOf(form.active) + 1;
  const next = [...places.slice(here), ...places.slice(0, here)].find((place) => place.classList.contains("doubtful") && !seen.has(place));
  (next ? form.input(next) : $("accept")).focus();
}

async function choose() {
  const place = target;
  if (!place) { toast("Choose a field first."); return; }
  const line = await pickLine(pages);
  if (line) {
    form.set(place, line.text, { spot: line });
    viewer.mark(spots());
    viewer.focus(form.pathOf(place));
  }
  form.input(place).focus();
}

const singles = $("single-keys");
singles.checked = localStorage.getItem("docloop:keys") !== "off";
singles.addEventListener("change", () => localStorage.setItem("docloop:keys", singles.checked ? "on" : "off"));

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.matches?.("input, textarea, select");
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key === "Enter") { event.preventDefault(); save(null, { only: event.shiftKey }); return; }
  if (command && event.key.toLowerCase() === "z" && !event.shiftKey) {
    // While a text is being typed, undoing is the browser's.
    const typed = typing && form.active && form.input(form.active) === event.target && JSON.stringify(form.state()) !== JSON.stringify(form.committed);
    if (!typed) { event.preventDefault(); undo(); }
    return;
  }
  if (event.altKey && event.key === "ArrowDown") { event.preventDefault(); step(1); return; }
  if (event.altKey && event.key === "ArrowUp") { event.preventDefault(); step(-1); return; }
  if (event.altKey && event.code === "KeyL") { event.preventDefault(); choose(); return; }
  if (event.key === "Escape") {
    if (viewer.drawing) viewer.draw(false);
    else if (typing) { event.target.blur(); root.focus(); }
    return;
  }
  if (event.key === "Enter" && event.target.matches?.(".value") && !event.shiftKey) {
    const kind = event.target.closest("[data-kind]")?.dataset.kind;
    if (kind === "lines" || kind === "markdown") return;
    event.preventDefault();
    nextDoubt();
    return;
  }
  if (typing || command || event.altKey || !singles.checked) return;
  const run = {
    j: () => step(1), k: () => step(-1), a: () => save(), n: skip, u: undo, b: () => viewer.draw(!viewer.drawing), l: choose,
    "+": () => viewer.act("in"), "=": () => viewer.act("in"), "-": () => viewer.act("out"), 0: () => viewer.act("fit"),
    r: () => viewer.act("turn"), "[": () => viewer.act("before"), "]": () => viewer.act("after"), "?": () => $("keys-dialog").showModal(),
  }[event.key];
  if (run) { event.preventDefault(); run(); }
});

function skip() { leaving = true; goOn(); }

$("accept").addEventListener("click", () => save());
$("partial").addEventListener("click", () => save(null, { only: true }));
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("unreadable").addEventListener("click", async () => {
  const sure = await ask({ title: "Is this page unreadable?", text: "Nothing is learnt from it, and it leaves the queue.", yes: "Unreadable" });
  if (sure) save("unreadable");
});
document.querySelector('[data-opens="json-dialog"]').addEventListener("click", () => {
  $("json").textContent = JSON.stringify(merge(known.record, correctionOf() ?? {}), null, 2);
});

// ---- begin

viewer.mark(spots());
restoreDraft();
changed();
greet();
if (frame.state === "queued" || frame.state === "running") {
  const timer = setInterval(async () => {
    const now = await api("GET", `/predictions/${frame.id}`).catch(() => null);
    if (now?.finished_at) { clearInterval(timer); location.reload(); }
  }, POLL_MS);
} else if (frame.state === "done") {
  lease.take();
  // The least certain field first; where all is well, the button.
  const doubts = form.places().filter((place) => place.offsetParent !== null && place.classList.contains("doubtful"));
  const first = doubts.sort((one, other) => Number(one.dataset.sure ?? 1) - Number(other.dataset.sure ?? 1))[0];
  (first ? form.input(first) : $("accept")).focus({ preventScroll: innerWidth <= 820 });
  document.body.dataset.ready = "true";
}
