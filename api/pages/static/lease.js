// Whose document it is now. The lease only tells; the server refuses what is stale all the same.

import { api, csrfToken, h, Unreachable } from "./base.js";

const RENEW_MS = 20_000;

export class Lease {
  /** `told` is called with {mine, reviewer, corrections} whenever that is known anew. */
  constructor(id, told) {
    this.path = `/review/${id}/lease`;
    this.told = told;
    this.mine = false;
    addEventListener("pagehide", () => this.release());
    addEventListener("pageshow", (event) => { if (event.persisted) this.take(); });
    this.timer = setInterval(() => { if (document.visibilityState === "visible") this.take(); }, RENEW_MS);
  }

  async take(force = false) {
    try {
      const held = await api("POST", this.path, { by_force: force });
      this.mine = held.mine;
      this.told(held);
    } catch (error) {
      if (!(error instanceof Unreachable)) console.warn(error.message);
    }
  }

  release() {
    clearInterval(this.timer);
    if (this.mine) fetch(this.path, { method: "DELETE", headers: { "x-csrf-token": csrfToken }, keepalive: true }).catch(() => {});
  }
}

/** Both words on one document, field by field. Resolves with the paths for which theirs was chosen, or null. */
export function settle({ theirs, yours, who, when, textOf, labelOf }) {
  const dialog = document.getElementById("clash-dialog");
  const name = who || "Somebody else";
  document.getElementById("clash-text").textContent = `${name} saved ${when} while you were working. Choose for each field; nothing is stored before you do.`;
  document.getElementById("clash-theirs").textContent = `${name}`;
  const paths = [...new Set([...Object.keys(theirs), ...Object.keys(yours)])];
  const rows = paths.map((path) => {
    const same = textOf(theirs[path]) === textOf(yours[path]);
    const choice = (side, value) => h("td", {}, h("label", {},
      h("input", { type: "radio", name: `clash-${path}`, value: side, checked: side === "yours" }), show(value, textOf)));
    return h("tr", {}, h("th", { scope: "row" }, labelOf(path)), choice("theirs", theirs[path]), choice("yours", yours[path]),
      same ? h("td", { class: "visually-hidden" }, "both the same") : null);
  });
  if (!rows.length) rows.push(h("tr", {}, h("td", { colspan: 3 }, "Both of you found everything right.")));
  document.getElementById("clash-rows").replaceChildren(...rows);
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (value) => { dialog.close(); resolve(value); };
    document.getElementById("clash-keep").onclick = () => end("keep");
    document.getElementById("clash-save").onclick = () => end(paths.filter((path) =>
      dialog.querySelector(`input[name="${CSS.escape(`clash-${path}`)}"]:checked`)?.value === "theirs"));
    dialog.addEventListener("cancel", () => resolve(null), { once: true });
  });
}

function show(value, textOf) {
  if (!Array.isArray(value)) return h("span", {}, textOf(value) || "not on the document");
  if (!value.length) return h("span", {}, "no lines");
  return h("ul", {}, value.map((line) => h("li", {}, line !== null && typeof line === "object"
    ? Object.values(line).map(textOf).filter(Boolean).join(" · ") : textOf(line))));
}
