// Changes of what is served. Each says which generation it was decided on, so that of two one wins.

import { api, ask, complain } from "./base.js";

const generation = Number(document.body.dataset.generation);

async function change(button, question, method, path, body) {
  if (question && !(await ask(question))) return;
  button.disabled = true;
  try {
    await api(method, path, body);
    location.reload();
  } catch (error) {
    button.disabled = false;
    complain(error);
  }
}

for (const button of document.querySelectorAll("[data-promote]")) {
  const version = button.dataset.promote;
  button.addEventListener("click", () => change(button,
    { title: "Promote this version?", text: `${version} becomes the champion. Every process changes over without losing a request.`, yes: "Promote" },
    "POST", `/models/${encodeURIComponent(version)}/promote`, { expected_generation: generation }));
}
document.getElementById("roll-back")?.addEventListener("click", (event) => change(event.currentTarget,
  { title: "Roll back?", text: `${event.currentTarget.dataset.to} becomes the champion again. The version that leaves is rejected and never gone back to.`, yes: "Roll back", danger: true },
  "POST", "/models/rollback", { expected_generation: generation }));
for (const form of document.querySelectorAll("form[data-trial]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const version = form.elements.version.value || null;
    const ratio = Number(form.elements.ratio?.value ?? 0) / 100;
    const body = form.dataset.trial === "canary" ? { version, ratio: version ? ratio : 0 } : { version };
    change(event.submitter, null, "PUT", `/models/${form.dataset.trial}`, body);
  });
}
