// What was typed and not yet stored, kept by the browser: a reload or a lost connection loses nothing.

const OLDEST_MS = 14 * 24 * 3600 * 1000;

export class Draft {
  constructor(owner, id) {
    this.key = `docloop:draft:${owner}:${id}`;
    this.sweep();
  }

  read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key));
      return kept?.state?.fields ? kept : null;
    } catch { return null; }
  }

  /** False where the browser keeps nothing. */
  write(state, corrections) {
    try {
      localStorage.setItem(this.key, JSON.stringify({ state, corrections, time: Date.now() }));
      return true;
    } catch { return false; }
  }

  clear() {
    try { localStorage.removeItem(this.key); } catch { /* Nothing was kept. */ }
  }

  sweep() {
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith("docloop:draft:")) continue;
        const time = JSON.parse(localStorage.getItem(key))?.time ?? 0;
        if (Date.now() - time > OLDEST_MS) localStorage.removeItem(key);
      }
    } catch { /* As above. */ }
  }
}
