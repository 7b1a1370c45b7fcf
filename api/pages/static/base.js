// What every page uses: requests that carry the session's token, messages, dialogs, copying.

const csrf = document.querySelector('meta[name="csrf"]')?.content ?? "";

/** A problem document (RFC 9457) that the server answered with. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.body = body ?? {};
    this.slug = String(this.body.type ?? "").split("/").pop();
  }
}

/** The server was not reached; nothing is known of what became of the request. */
export class Unreachable extends Error {}

/** A JSON request to this service. Throws Problem or Unreachable. */
export async function api(method, path, body, options = {}) {
  const headers = { accept: "application/json", "x-csrf-token": csrf, ...options.headers };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      keepalive: options.keepalive ?? false, signal: options.signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The service cannot be reached.");
  }
  const text = await response.text();
  let content = null;
  try { content = text ? JSON.parse(text) : null; } catch { /* Not JSON: a proxy's page. */ }
  if (!response.ok) {
    if (response.status === 502 || response.status === 504) throw new Unreachable("The service cannot be reached.");
    throw new Problem(response.status, content);
  }
  return content;
}

export const csrfToken = csrf;

/** An element. Attributes that are functions listen, `true` is an empty attribute. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A short message. `action` is {text, run}. */
export function toast(text, { kind = "", action = null, seconds = 6 } = {}) {
  const box = document.getElementById("toasts");
  const entry = h("div", { class: `toast ${kind}` }, h("span", {}, text));
  if (action) entry.append(h("button", { type: "button", click: () => { entry.remove(); action.run(); } }, action.text));
  box.append(entry);
  setTimeout(() => entry.remove(), (action ? seconds * 2 : seconds) * 1000);
  return entry;
}

export function complain(error) {
  if (error instanceof Problem && error.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return;
  }
  toast(error.message, { kind: "bad", seconds: 9 });
}

/** Whether the person agrees; a dialog that Escape closes. */
export function ask({ title, text, yes, danger = false }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "ask-title" },
      h("form", { method: "dialog" },
        h("div", { class: "inner" }, h("h2", { id: "ask-title" }, title), h("p", {}, text)),
        h("footer", {},
          h("button", { class: "button", value: "no" }, "Cancel"),
          h("button", { class: `button ${danger ? "danger" : "primary"}`, value: "yes" }, yes))));
    dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes"); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied.`);
  } catch {
    toast("The browser does not allow copying; select the text instead.", { kind: "bad" });
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    copy(document.querySelector(button.dataset.copy).textContent, button.dataset.what ?? "Text");
  });
}
for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}
for (const form of document.querySelectorAll("form[data-instant]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

const theme = document.getElementById("theme");
theme?.addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("docloop:theme", next); } catch { /* Until the page is left, then. */ }
});

// What was typed belongs to whoever was signed in.
document.getElementById("sign-out")?.addEventListener("submit", async (event) => {
  const form = event.currentTarget;
  const drafts = Object.keys(localStorage).filter((key) => key.startsWith("docloop:draft:"));
  if (!drafts.length) return;
  event.preventDefault();
  const documents = drafts.length === 1 ? "one document" : `${drafts.length} documents`;
  const sure = await ask({ title: "Sign out?", text: `What you typed for ${documents} was not saved and will be lost.`, yes: "Sign out", danger: true });
  if (!sure) return;
  for (const key of drafts) localStorage.removeItem(key);
  form.submit();
});
