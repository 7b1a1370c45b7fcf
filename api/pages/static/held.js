// A second person's word on a correction that is held.

import { api, complain, toast } from "./base.js";

for (const card of document.querySelectorAll("[data-held]")) {
  for (const button of card.querySelectorAll("[data-decision]")) {
    button.addEventListener("click", async () => {
      const comment = card.querySelector("input")?.value.trim() || null;
      button.disabled = true;
      try {
        await api("POST", `/quarantine/${card.dataset.held}`, { decision: button.dataset.decision, comment });
        toast(button.dataset.decision === "accept" ? "Accepted: the next training may learn from it." : "Rejected: nothing is learnt from it.");
        const next = card.nextElementSibling ?? card.previousElementSibling;
        card.remove();
        (next?.querySelector("a, button") ?? document.getElementById("main")).focus();
        const count = document.querySelector("[aria-current] .count");
        if (count) count.textContent = String(Math.max(0, Number(count.textContent) - 1));
      } catch (error) {
        button.disabled = false;
        complain(error);
      }
    });
  }
}
