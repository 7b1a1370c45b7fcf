/* Lays one page out, cuts what does not fit, and measures what is left. `window.docloop` of a blank page. */
"use strict";

window.docloop = (() => {
  const TOLERANCE = 2;
  const MOST_SKIPPED = 5;

  /* Shows a document without running anything of it. */
  function load(html) {
    const source = new DOMParser().parseFromString(html, "text/html");
    for (const node of source.querySelectorAll("script, iframe, object, embed, link, base, meta")) node.remove();
    for (const node of source.querySelectorAll("*")) {
      for (const name of node.getAttributeNames()) if (name.startsWith("on")) node.removeAttribute(name);
    }
    let style = document.getElementById("page-style");
    if (!style) {
      style = document.createElement("style");
      style.id = "page-style";
      document.head.append(style);
    }
    style.textContent = [...source.querySelectorAll("style")].map((node) => node.textContent).join("\n");
    for (const node of source.body.querySelectorAll("style")) node.remove();
    document.documentElement.lang = source.documentElement.lang;
    document.body.className = source.body.className;
    document.body.style.cssText = source.body.style.cssText;
    document.body.replaceChildren(...source.body.childNodes);
  }

  /* Sets every formula; returns the TeX that KaTeX refuses. */
  function typeset() {
    const refused = [];
    for (const node of document.querySelectorAll(".math")) {
      const tex = node.textContent;
      node.dataset.tex = tex;
      try {
        katex.render(tex, node, { displayMode: node.classList.contains("display"), output: "html", throwOnError: true });
      } catch (error) {
        refused.push(tex);
      }
    }
    return refused;
  }

  const rects = (node) => [...node.getClientRects()];

  /* Removes what the columns have no room for, and footnotes whose mark went with it. */
  function fit() {
    for (const flow of document.querySelectorAll(".flow")) {
      const room = flow.getBoundingClientRect();
      const out = (node) => rects(node).some((r) => r.right > room.right + TOLERANCE || r.bottom > room.bottom + TOLERANCE);
      for (let skipped = 0; ; skipped++) {
        const blocks = [...flow.children];
        const first = blocks.findIndex(out);
        if (first < 0) break;
        const kept = shorten(blocks[first], out);
        if (!kept) blocks[first].remove();
        /* A drawing or a table that is too high leaves its place to what stands behind it. */
        if (!kept && skipped < MOST_SKIPPED && !/^P$/.test(blocks[first].tagName)) continue;
        for (const node of blocks.slice(first + 1)) node.remove();
        break;
      }
      while (flow.lastElementChild && /^H\d$/.test(flow.lastElementChild.tagName)) flow.lastElementChild.remove();
    }
    const marks = new Set([...document.querySelectorAll("sup.mark")].map((node) => node.dataset.note));
    for (const note of document.querySelectorAll(".note[data-note]")) if (!marks.has(note.dataset.note)) note.remove();
    for (const box of document.querySelectorAll(".notes")) if (!box.children.length) box.remove();
  }

  /* Cuts a plain paragraph within a sentence, as the end of a page does. */
  function shorten(node, out) {
    if (node.tagName !== "P" || node.children.length || node.className) return false;
    const words = node.textContent.split(" ");
    let low = 0;
    let high = words.length;
    while (low < high - 1) {
      const middle = (low + high) >> 1;
      node.textContent = words.slice(0, middle).join(" ");
      if (out(node)) high = middle;
      else low = middle;
    }
    node.textContent = words.slice(0, low).join(" ");
    node.style.textAlignLast = getComputedStyle(node).textAlign === "justify" ? "justify" : "";
    return low >= 8;
  }

  /* The document as it is now, formulas as TeX again. */
  function source() {
    const body = document.body.cloneNode(true);
    for (const node of body.querySelectorAll("[data-tex]")) {
      node.textContent = node.dataset.tex;
      delete node.dataset.tex;
    }
    return body.innerHTML;
  }

  const isBlock = (node) => !getComputedStyle(node).display.startsWith("inline");

  function blockOf(node) {
    let found = node.parentElement;
    while (found && !isBlock(found)) found = found.parentElement;
    return found || document.body;
  }

  /* Each run of text and each drawing: where it is, and the block that it belongs to. */
  function pieces() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) => {
      if (node.nodeType === Node.TEXT_NODE) return node.data.trim() ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT;
      if (node.matches("svg, img, .katex")) return NodeFilter.FILTER_ACCEPT;
      return NodeFilter.FILTER_SKIP;
    });
    const range = document.createRange();
    let node = walker.nextNode();
    while (node) {
      const block = blockOf(node);
      if (node.nodeType === Node.TEXT_NODE) {
        range.selectNodeContents(node);
        for (const r of range.getClientRects()) if (r.width > 0.5) found.push({ r, block, text: true });
        node = walker.nextNode();
      } else {
        found.push({ r: node.getBoundingClientRect(), block, text: false });
        const last = node;
        do node = walker.nextNode(); while (node && last.contains(node));
      }
    }
    return found;
  }

  function overlaps(a, b) {
    const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    return width > TOLERANCE && height > 0.35 * Math.min(a.height, b.height);
  }

  /* What is wrong with the layout, and what is on the page. */
  function measure(width, height) {
    const faults = new Set();
    const all = pieces().sort((a, b) => a.r.top - b.r.top);
    for (const { r } of all) {
      if (r.left < -TOLERANCE || r.top < -TOLERANCE || r.right > width + TOLERANCE || r.bottom > height + TOLERANCE) faults.add("off the sheet");
    }
    for (let i = 0; i < all.length; i++) {
      for (let j = i + 1; j < all.length && all[j].r.top < all[i].r.bottom; j++) {
        if (all[i].block !== all[j].block && overlaps(all[i].r, all[j].r)) faults.add("overlap");
      }
    }
    const edges = new Map();
    for (const { r, block } of all) {
      if (!edges.has(block)) edges.set(block, rects(block));
      if (!edges.get(block).some((e) => r.left >= e.left - 4 && r.right <= e.right + 4)) faults.add("wider than its block");
    }
    for (const flow of document.querySelectorAll(".flow")) {
      const room = flow.getBoundingClientRect();
      const style = getComputedStyle(flow);
      const count = parseInt(style.columnCount, 10) || 1;
      const column = (room.width - (count - 1) * (parseFloat(style.columnGap) || 0)) / count;
      for (const node of flow.children) {
        if (rects(node).some((r) => r.width > column + TOLERANCE || r.right > room.right + TOLERANCE || r.bottom > room.bottom + 2 * TOLERANCE)) faults.add("wider than its column");
        if (node.scrollWidth > node.clientWidth + TOLERANCE && node.clientWidth) faults.add("wider than its column");
      }
      if (room.height < 0.2 * height) faults.add("no room for the text");
    }
    const root = document.documentElement;
    if (root.scrollWidth > width + TOLERANCE || root.scrollHeight > height + TOLERANCE) faults.add("longer than the sheet");
    const areaOf = (selector) => [...document.querySelectorAll(selector)].reduce((sum, node) => sum + rects(node).reduce((s, r) => s + r.width * r.height, 0), 0);
    const boxOf = (node) => {
      const r = node.getBoundingClientRect();
      return [r.left, r.top, r.right, r.bottom];
    };
    const content = all.reduce((box, { r }) => [Math.min(box[0], r.left), Math.min(box[1], r.top), Math.max(box[2], r.right), Math.max(box[3], r.bottom)], [width, height, 0, 0]);
    const bottom = all.reduce((most, { r }) => Math.max(most, r.bottom), 0);
    return {
      faults: [...faults].sort(),
      words: document.body.innerText.split(/\s+/).length,
      content_area: Math.max(1, (content[2] - content[0]) * (content[3] - content[1])),
      table_area: areaOf("table"),
      figure_area: areaOf("figure"),
      figures: [...document.querySelectorAll("figure .drawing, body img")].map(boxOf),
      content_ratio: bottom / height,
    };
  }

  return { load, typeset, fit, source, measure };
})();
