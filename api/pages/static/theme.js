// Before anything is drawn: the theme that was chosen here, if one was.
(() => {
  try {
    const chosen = localStorage.getItem("docloop:theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch { /* A browser that keeps nothing shows the system's theme. */ }
})();
