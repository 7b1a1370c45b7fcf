// A link from another site comes without the cookie (SameSite=Strict). Where a session is there
// after all, go on to where the link led.
const next = document.querySelector('input[name="next"]').value;
if (document.body.dataset.wrong !== "true") {
  const answer = await fetch("/session").catch(() => null);
  if (answer?.ok && (await answer.json()).reviewer !== null) location.replace(next);
}
export {};
