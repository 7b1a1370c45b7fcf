// The lines of the page as a list, for whoever does not use a pointer.

import { h } from "./base.js";

/** The chosen line, or null. */
export function pickLine(pages) {
  const dialog = document.getElementById("lines-dialog");
  const filter = document.getElementById("lines-filter");
  const list = document.getElementById("lines-list");
  const all = pages.flatMap((page) => page.lines.map((line) => ({ ...line, page: page.index })));
  let shown = [];
  let at = 0;
  return new Promise((resolve) => {
    const end = (line) => { resolve(line); dialog.close(); };
    const paint = () => {
      const wanted = filter.value.trim().toLowerCase();
      shown = all.filter((line) => line.text.toLowerCase().includes(wanted));
      at = Math.min(at, Math.max(0, shown.length - 1));
      list.replaceChildren(...shown.map((line, index) => h("li", {
        role: "option", id: `line-${index}`, "aria-selected": String(index === at), click: () => end(line),
      }, line.text)));
      if (shown.length) filter.setAttribute("aria-activedescendant", `line-${at}`);
      else filter.removeAttribute("aria-activedescendant");
      list.children[at]?.scrollIntoView({ block: "nearest" });
    };
    const keys = (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (steps) { event.preventDefault(); at = Math.min(shown.length - 1, Math.max(0, at + steps)); paint(); }
      if (event.key === "Enter") { event.preventDefault(); if (shown[at]) end(shown[at]); }
    };
    const typed = () => { at = 0; paint(); };
    filter.addEventListener("keydown", keys);
    filter.addEventListener("input", typed);
    dialog.addEventListener("close", () => {
      filter.removeEventListener("keydown", keys);
      filter.removeEventListener("input", typed);
      resolve(null);
    }, { once: true });
    filter.value = "";
    paint();
    dialog.showModal();
    filter.focus();
  });
}
