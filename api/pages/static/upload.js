// Documents dropped here go to POST /extract one by one; a worker of the service reads them.

import { api, csrfToken, h, Problem, toast } from "./base.js";

const AT_ONCE = 2;
const POLL_MS = 1200;
const zone = document.getElementById("drop");
const input = document.getElementById("file");
const list = document.getElementById("files");
const type = document.getElementById("type");
const most = Number(zone.dataset.mostBytes);
const waiting = [];
let running = 0;

zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  add(event.dataTransfer.files);
});
// A file that misses the zone must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
input.addEventListener("change", () => { add(input.files); input.value = ""; });
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });

function add(files) {
  for (const file of files) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${file.name}` });
    const said = h("span", { class: "said" }, "waits");
    const side = h("span", { class: "row" });
    const entry = h("li", {}, h("span", { class: "clip" }, file.name, h("br"), said), bar, side);
    list.prepend(entry);
    document.getElementById("list").hidden = false;
    const job = { file, entry, bar, said, side, type: type.value, key: `page-${crypto.randomUUID?.() ?? Math.random().toString(36).slice(2)}` };
    if (file.size > most) fail(job, `It has ${megabytes(file.size)}, and ${megabytes(most)} are accepted.`, false);
    else waiting.push(job);
  }
  pump();
}

function megabytes(bytes) { return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`; }

function pump() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    carry(waiting.shift()).finally(() => { running -= 1; pump(); });
  }
}

async function carry(job) {
  try {
    const begun = await send(job);
    job.bar.removeAttribute("value");
    const clock = watch(job.said);
    const prediction = await finished(begun).finally(() => clearInterval(clock));
    done(job, prediction);
  } catch (error) {
    fail(job, error.message, true);
  }
}

/** Says for how long it has been read, so that slow is told from stuck. */
function watch(said) {
  const began = Date.now();
  const tell = () => {
    const seconds = Math.round((Date.now() - began) / 1000);
    const time = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    said.textContent = seconds < 2 ? "is being read" : `is being read, ${time}`;
  };
  tell();
  return setInterval(tell, 1000);
}

function send(job) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/extract?wait=false");
    request.setRequestHeader("x-csrf-token", csrfToken);
    request.setRequestHeader("idempotency-key", job.key);
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      job.bar.value = 0.9 * event.loaded / event.total;
      job.said.textContent = `sent ${Math.round(100 * event.loaded / event.total)} % of ${megabytes(event.total)}`;
    });
    request.addEventListener("load", () => {
      let body = null;
      try { body = JSON.parse(request.responseText); } catch { /* A proxy's page. */ }
      if (request.status >= 200 && request.status < 300) resolve(body);
      else reject(new Problem(request.status, body));
    });
    request.addEventListener("error", () => reject(new Error("The connection broke.")));
    const form = new FormData();
    form.append("file", job.file);
    form.append("document_type", job.type);
    request.send(form);
  });
}

async function finished(prediction) {
  for (;;) {
    if (prediction.finished_at) return prediction;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      prediction = await api("GET", `/predictions/${prediction.id}`);
    } catch (error) {
      if (error instanceof Problem) throw error;
    }
  }
}

function done(job, prediction) {
  if (prediction.state === "failed") { fail(job, prediction.error?.detail ?? "It failed.", true); return; }
  job.bar.value = 1;
  job.bar.classList.add("done");
  job.said.textContent = prediction.document_type === "unknown" ? "no type fits" : `${prediction.document_type.replaceAll("_", " ")}, ${Object.keys(prediction.fields).length} values`;
  job.side.replaceChildren(
    h("button", { class: "button small", type: "button", click: () => copy(prediction) }, "Copy JSON"),
    h("a", { class: "button small primary", href: `/review/${prediction.id}` }, "Review"));
  document.getElementById("said").textContent = `${job.file.name} is read.`;
}

async function copy(prediction) {
  try {
    await navigator.clipboard.writeText(JSON.stringify(prediction.corrected_record ?? prediction.record, null, 2));
    toast("Record copied.");
  } catch { toast("The browser does not allow copying; the review page shows the record.", { kind: "bad" }); }
}

function fail(job, why, again) {
  job.bar.value = 1;
  job.bar.classList.add("failed");
  job.said.textContent = "not read";
  const fault = h("span", { class: "fault", role: "alert" }, why);
  job.entry.append(fault);
  if (!again) return;
  job.side.replaceChildren(h("button", { class: "button small", type: "button", click: () => {
    fault.remove();
    job.side.replaceChildren();
    job.bar.classList.remove("failed");
    job.bar.value = 0;
    waiting.push(job);
    pump();
  } }, "Try again"));
}
