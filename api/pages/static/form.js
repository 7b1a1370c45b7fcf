// The fields as they stand: read, written, compared with what the model read, undone.

import { at, partOf, put, textOf, valueOf } from "./record.js";

const DEEPEST_UNDO = 200;

export class Form {
  /** `changed` is called after every change. */
  constructor(root, model, changed) {
    this.root = root;
    this.model = model;
    this.changed = changed;
    this.active = null;
    this.past = [];
    this.tables = [...root.querySelectorAll(".table")];
    this.first = this.state();
    this.committed = this.first;
    root.addEventListener("input", (event) => { if (event.target.matches(".value")) this.touched(event.target); });
    root.addEventListener("change", (event) => { if (event.target.matches(".value")) this.commit(); });
    root.addEventListener("focusin", (event) => {
      const owner = event.target.closest(".field, .cell");
      if (owner && event.target.matches(".value")) this.activate(owner);
    });
    for (const table of this.tables) this.wire(table);
    this.show();
  }

  wire(table) {
    table.querySelector(".add").addEventListener("click", (event) => {
      event.preventDefault();
      if (table.tagName === "DETAILS") table.open = true;
      const row = this.addRow(table);
      this.commit();
      row.querySelector("td:not([hidden]) .value").focus();
    });
    table.querySelector(".columns").addEventListener("click", (event) => {
      event.preventDefault();
      table.querySelectorAll("[data-column]").forEach((cell) => { cell.hidden = false; });
      event.target.hidden = true;
    });
    table.addEventListener("click", (event) => {
      const row = event.target.closest(".remove")?.closest("tr");
      if (!row) return;
      const beside = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      this.commit();
      (beside?.querySelector("td:not([hidden]) .value") ?? table.querySelector(".add")).focus();
    });
  }

  addRow(table) {
    const copy = document.importNode(table.querySelector("template").content, true);
    const row = copy.querySelector("tr");
    const hidden = new Set([...table.querySelectorAll("th[data-column]")].filter((head) => head.hidden).map((head) => head.dataset.column));
    row.querySelectorAll("[data-column]").forEach((cell) => { cell.hidden = hidden.has(cell.dataset.column); });
    table.querySelector("tbody").append(row);
    return row;
  }

  /** Every field and shown cell, in the order of the page. */
  places() {
    return [...this.root.querySelectorAll(".field, tbody .cell:not([hidden])")];
  }

  input(place) { return place.querySelector(".value"); }

  /** The path of a field or cell as it stands now. */
  pathOf(place) {
    if (place.dataset.path) return place.dataset.path;
    const row = place.closest("tr");
    return `${place.closest(".table").dataset.path}.${[...row.parentElement.children].indexOf(row)}.${place.dataset.column}`;
  }

  find(path) { return this.places().find((place) => this.pathOf(place) === path); }

  activate(place) {
    this.active?.classList.remove("active");
    this.active = place;
    place.classList.add("active");
    this.root.dispatchEvent(new CustomEvent("activate", { detail: this.pathOf(place) }));
  }

  touched(input) {
    input.closest(".refused")?.classList.remove("refused");
    input.closest(".field")?.querySelector(".refusal")?.remove();
    this.show();
    this.changed();
  }

  /** A change is complete: it can be undone. */
  commit() {
    const now = this.state();
    if (JSON.stringify(now) === JSON.stringify(this.committed)) return;
    this.past.push(this.committed);
    if (this.past.length > DEEPEST_UNDO) this.past.shift();
    this.committed = now;
    this.show();
    this.changed();
  }

  undo() {
    this.commit();
    const before = this.past.pop();
    if (!before) return false;
    this.write(before);
    return true;
  }

  /** Puts a text, or the part of it that the field's kind would hold, into a field. */
  set(place, text, { whole = false, append = false, spot = null } = {}) {
    const input = this.input(place);
    const part = whole ? text : partOf(place.dataset.kind, text);
    const value = append && input.value ? `${input.value}${place.dataset.kind === "lines" ? "\n" : " "}${part}` : part;
    if (input.tagName === "SELECT") {
      const option = [...input.options].find((each) => each.value.toLowerCase() === value.toLowerCase());
      if (option) input.value = option.value;
    } else input.value = value;
    if (spot) {
      place.dataset.page = spot.page;
      place.dataset.box = spot.box.join(" ");
    }
    this.touched(input);
    this.commit();
  }

  state() {
    const fields = {};
    for (const field of this.root.querySelectorAll(".field")) fields[field.dataset.path] = this.input(field).value;
    const tables = {};
    for (const table of this.tables) {
      tables[table.dataset.path] = [...table.querySelectorAll("tbody tr")].map((row) =>
        Object.fromEntries([...row.querySelectorAll(".cell")].map((cell) => [cell.dataset.column, this.input(cell).value])));
    }
    return { fields, tables };
  }

  write(state) {
    for (const field of this.root.querySelectorAll(".field")) {
      const text = state.fields[field.dataset.path];
      if (text !== undefined && this.input(field).value !== text) this.input(field).value = text;
    }
    for (const table of this.tables) {
      const lines = state.tables[table.dataset.path];
      if (!lines) continue;
      const body = table.querySelector("tbody");
      while (body.children.length > lines.length) body.lastElementChild.remove();
      while (body.children.length < lines.length) this.addRow(table);
      lines.forEach((line, index) => body.children[index].querySelectorAll(".cell").forEach((cell) => {
        const text = line[cell.dataset.column] ?? "";
        if (this.input(cell).value !== text) this.input(cell).value = text;
        if (text && cell.hidden) table.querySelectorAll(`[data-column="${cell.dataset.column}"]`).forEach((each) => { each.hidden = false; });
      }));
      if (table.tagName === "DETAILS" && lines.length) table.open = true;
    }
    this.committed = this.state();
    this.show();
    this.changed();
  }

  get dirty() { return JSON.stringify(this.state()) !== JSON.stringify(this.first); }

  /** Only what differs from the model's record, as POST /feedback takes it; null where nothing does. */
  correction() {
    const record = {};
    for (const field of this.root.querySelectorAll(".field")) {
      const { path, kind } = field.dataset;
      const text = this.input(field).value;
      if (text.trim() !== textOf(at(this.model, path)).trim()) put(record, path, valueOf(kind, text));
    }
    for (const table of this.tables) {
      const { lines, differs } = this.list(table);
      if (differs) put(record, table.dataset.path, lines);
    }
    return Object.keys(record).length ? record : null;
  }

  list(table) {
    const shown = [...table.querySelectorAll("th[data-column]")].filter((head) => !head.hidden).map((head) => head.dataset.column);
    const lines = [];
    this.sent = this.sent ?? new Map();
    const kept = [];
    for (const row of table.querySelectorAll("tbody tr")) {
      const cells = [...row.querySelectorAll(".cell")].filter((cell) => shown.includes(cell.dataset.column));
      if (cells.every((cell) => !this.input(cell).value.trim())) continue;
      lines.push(Object.fromEntries(cells.map((cell) => [cell.dataset.column, valueOf(cell.dataset.kind, this.input(cell).value)])));
      kept.push(row);
    }
    this.sent.set(table.dataset.path, kept);
    const before = (at(this.model, table.dataset.path) ?? []).map((line) => shown.map((name) => textOf(line?.[name]).trim()));
    const after = lines.map((line) => shown.map((name) => textOf(line[name]).trim()));
    return { lines, differs: JSON.stringify(before) !== JSON.stringify(after) };
  }

  /** Shows the server's refusals at their fields; those that belong to none are returned. */
  refuse(faults) {
    this.pardon();
    const rest = [];
    let first = null;
    for (const [path, why] of Object.entries(faults)) {
      const place = this.refusedPlace(path.replace(/^(body\.)?record\./, ""));
      if (!place) { rest.push(`${path}: ${why}`); continue; }
      first ??= place;
      place.closest("details")?.setAttribute("open", "");
      place.classList.add("refused");
      this.input(place).setAttribute("aria-invalid", "true");
      const said = document.createElement("p");
      said.className = "refusal";
      said.textContent = place.classList.contains("cell") ? `${this.input(place).getAttribute("aria-label")}: ${why}` : why;
      if (place.classList.contains("field")) place.append(said);
      else {
        const below = place.closest(".table").querySelector(".said");
        below.hidden = false;
        below.append(said.textContent, " ");
      }
    }
    if (first) this.input(first).focus();
    return rest;
  }

  refusedPlace(path) {
    for (const table of this.tables) {
      const prefix = `${table.dataset.path}.`;
      if (!path.startsWith(prefix)) continue;
      const [index, column] = path.slice(prefix.length).split(".");
      return this.sent?.get(table.dataset.path)?.[Number(index)]?.querySelector(`[data-column="${column}"]`) ?? null;
    }
    const whole = path.replace(/\.\d+$/, "");
    return [...this.root.querySelectorAll(".field")].find((field) => [path, whole].includes(field.dataset.path)) ?? null;
  }

  pardon() {
    this.root.querySelectorAll(".refused").forEach((place) => place.classList.remove("refused"));
    this.root.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
    this.root.querySelectorAll(".field > .refusal").forEach((said) => said.remove());
    this.root.querySelectorAll(".said").forEach((said) => { said.textContent = ""; said.hidden = true; });
  }

  /** Marks what was changed, and says what stood there. */
  show() {
    for (const field of this.root.querySelectorAll(".field")) {
      const before = this.first.fields[field.dataset.path] ?? "";
      const now = this.input(field).value;
      field.classList.toggle("changed", now !== before);
      const below = field.querySelector(".below");
      below.querySelector(".was")?.remove();
      if (now === before) continue;
      const was = document.createElement("span");
      was.className = "was";
      const back = document.createElement("button");
      back.type = "button";
      back.className = "linklike";
      back.textContent = "put back";
      back.addEventListener("click", () => { this.set(field, before, { whole: true }); this.input(field).focus(); });
      was.append(before ? `was ${before.length > 40 ? `${before.slice(0, 40)}…` : before} ` : "was empty ", back);
      below.prepend(was);
    }
    for (const table of this.tables) {
      const before = this.first.tables[table.dataset.path] ?? [];
      const rows = [...table.querySelectorAll("tbody tr")];
      rows.forEach((row, index) => row.querySelectorAll(".cell").forEach((cell) => {
        cell.classList.toggle("changed", this.input(cell).value !== (before[index]?.[cell.dataset.column] ?? ""));
      }));
      const count = table.querySelector(".lines-count");
      count.textContent = rows.length || (count.classList.contains("muted") ? "none" : "0");
    }
  }
}
