// KaTeX's own tree of boxes as JSON, which extraction/unit_tests/layout.py lays out.
// A box is [classes, style, text, width, children]; sizes are in em of its own font.
"use strict";

const symbols = [];
const look = (node) => node.classes.filter(Boolean).join(" ");
const sameLook = (a, b) => a !== b && look(a) === look(b);

// KaTeX joins neighbouring letters of one look into one symbol and keeps the first one's width. The
// setter adds the width of what is joined.
Object.defineProperty(katex.__domTree.SymbolNode.prototype, "text", {
  get() { return this._text; },
  set(text) {
    if (this._text === undefined && text !== undefined) {
      symbols.push(this);
    } else if (this._text !== undefined && text.length > this._text.length) {
      const added = text.slice(this._text.length);
      const other = symbols.find((node) => node._text === added && sameLook(node, this));
      this.width += other ? other.width : 0.5 * added.length;
    }
    this._text = text;
  },
});

function boxOf(node) {
  if (node.text !== undefined && !node.children) {
    const style = Object.assign({}, node.style);
    if (node.italic > 0) style.marginRight = node.italic + "em";
    return [look(node), style, node.text, node.width, null];
  }
  const isSpan = Array.isArray(node.classes);
  const children = isSpan ? (node.children || []).map(boxOf) : [];
  return [isSpan ? look(node) : "svg", node.style || {}, null, 0, children];
}

// The equation in display style: its MathML without the source, and its boxes.
function treeOf(source) {
  symbols.length = 0;
  const settings = { displayMode: true, throwOnError: true };
  const [mathml, html] = katex.__renderToDomTree(source, settings).children[0].children;
  const semantics = mathml.children[0].children[0];
  const inner = semantics.children
    .filter((child) => child.type !== "annotation")
    .map((child) => child.toMarkup())
    .join("");
  return JSON.stringify({ mathml: inner, boxes: boxOf(html) });
}
