// The page image with its boxes: zoom, turning, pages, clicking a line, drawing a box.

const SVG = "http://www.w3.org/2000/svg";
const STEPS = [0.25, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6];
const LARGEST_FIT = 1.25;
const CLICK_PIXELS = 5;

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export class Viewer {
  /** `on` has line(line), box(page, box), spot(path): what a person did on the image. */
  constructor(pages, images, on) {
    this.pages = pages;
    this.images = images;
    this.on = on;
    this.view = document.getElementById("view");
    this.stage = document.getElementById("stage");
    this.sizer = document.getElementById("sizer");
    this.sheet = document.getElementById("sheet");
    this.image = document.getElementById("image");
    this.spots = [];
    this.active = null;
    this.index = 0;
    this.turns = 0;
    this.scale = 0;
    this.fitted = true;
    this.corner = null;
    this.drag = null;
    if (!this.sheet) return;
    this.svg = shape("svg", { "aria-hidden": "true" });
    this.sheet.append(this.svg);
    this.view.querySelectorAll("[data-do]").forEach((button) => {
      button.addEventListener("click", () => this.act(button.dataset.do));
    });
    new ResizeObserver(() => { if (this.fitted) this.fit(); }).observe(this.stage);
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.press(event));
    this.stage.addEventListener("pointermove", (event) => this.move(event));
    this.stage.addEventListener("pointerup", (event) => this.release(event));
    this.stage.addEventListener("pointercancel", () => { this.drag = null; });
    this.show(0);
  }

  get page() { return this.pages[this.index]; }

  act(what) {
    if (!this.sheet) return;
    const run = {
      in: () => this.zoom(1), out: () => this.zoom(-1), fit: () => this.fit(),
      turn: () => { this.turns = (this.turns + 1) % 4; this.fitted ? this.fit() : this.place(); },
      before: () => this.show(this.index - 1), after: () => this.show(this.index + 1),
      lines: () => this.toggle("lines", "showing-lines"), draw: () => this.draw(!this.drawing),
    }[what];
    run?.();
  }

  toggle(name, style) {
    const on = this.view.classList.toggle(style);
    this.view.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));
    return on;
  }

  get drawing() { return this.view.classList.contains("drawing"); }

  /** Begins or ends drawing; the next box goes to on.box. */
  draw(begin) {
    if (!this.sheet || begin === this.drawing) return;
    this.toggle("draw", "drawing");
    this.corner = this.drag = null;
    this.svg.querySelector(".drawn")?.remove();
    this.tell(begin ? "Draw a box around the value, or click two of its corners" : "");
  }

  tell(text) {
    const tip = document.getElementById("tip");
    tip.textContent = text;
    tip.hidden = !text;
  }

  show(index) {
    if (index < 0 || index >= this.pages.length) return;
    this.index = index;
    this.image.src = this.images[index];
    this.image.alt = `Page ${index + 1} of the document`;
    const number = document.getElementById("page-number");
    if (number) number.textContent = `Page ${index + 1} of ${this.pages.length}`;
    this.svg.setAttribute("viewBox", `0 0 ${this.page.width} ${this.page.height}`);
    this.fitted ? this.fit() : this.place();
    this.paint();
  }

  /** Which boxes to show: [{path, page, box, level}]. */
  mark(spots) {
    this.spots = spots;
    if (this.sheet) this.paint();
  }

  paint() {
    const { width, height } = this.page;
    const rect = (box, attributes) => shape("rect", {
      x: box[0] * width, y: box[1] * height, rx: 2,
      width: Math.max(1, (box[2] - box[0]) * width), height: Math.max(1, (box[3] - box[1]) * height),
      ...attributes,
    });
    const lines = this.page.lines.map((line) => {
      const element = rect(line.box, { class: "line" });
      const title = shape("title", {});
      title.textContent = line.text;
      element.append(title);
      element.addEventListener("click", () => this.on.line({ ...line, page: this.index }));
      return element;
    });
    const spots = this.spots.filter((spot) => spot.page === this.index).map((spot) =>
      rect(spot.box, { class: `spot level-${spot.level}${spot.path === this.active ? " active" : ""}`, "data-path": spot.path }));
    this.svg.replaceChildren(...spots, ...lines);
  }

  /** The field of this path is looked at: its box is drawn strongly and scrolled into sight. */
  focus(path, scroll = true) {
    this.active = path;
    const spot = this.spots.find((each) => each.path === path);
    if (!this.sheet) return;
    if (spot && spot.page !== this.index) this.show(spot.page);
    else this.paint();
    if (spot && scroll) this.scrollTo(spot.box);
  }

  scrollTo(box) {
    const drawn = this.svg.querySelector(".spot.active");
    if (!drawn || !box) return;
    const at = drawn.getBoundingClientRect();
    const frame = this.stage.getBoundingClientRect();
    const inside = at.top >= frame.top + 30 && at.bottom <= frame.bottom - 30 && at.left >= frame.left && at.right <= frame.right;
    if (inside) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.stage.scrollBy({
      top: at.top + at.height / 2 - frame.top - frame.height / 2,
      left: at.left + at.width / 2 - frame.left - frame.width / 2,
      behavior: calm ? "auto" : "smooth",
    });
  }

  zoom(direction) {
    const next = direction > 0 ? STEPS.find((step) => step > this.scale * 1.01) : STEPS.findLast((step) => step < this.scale * 0.99);
    if (!next) return;
    const { stage } = this;
    const middle = [
      (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth,
      (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight,
    ];
    this.scale = next;
    this.fitted = false;
    this.place();
    stage.scrollLeft = middle[0] * stage.scrollWidth - stage.clientWidth / 2;
    stage.scrollTop = middle[1] * stage.scrollHeight - stage.clientHeight / 2;
  }

  fit() {
    const style = getComputedStyle(this.stage);
    const room = this.stage.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const side = this.turns % 2 ? this.page.height : this.page.width;
    this.scale = Math.min(LARGEST_FIT, Math.max(0.05, room / side));
    this.fitted = true;
    this.place();
  }

  place() {
    const width = this.page.width * this.scale;
    const height = this.page.height * this.scale;
    const across = this.turns % 2;
    this.sizer.style.width = `${across ? height : width}px`;
    this.sizer.style.height = `${across ? width : height}px`;
    this.sheet.style.width = `${width}px`;
    this.sheet.style.height = `${height}px`;
    const shift = [[0, 0], [height, 0], [width, height], [0, width]][this.turns];
    this.sheet.style.transform = `translate(${shift[0]}px, ${shift[1]}px) rotate(${this.turns * 90}deg)`;
    document.getElementById("zoom").textContent = `${Math.round(this.scale * 100)} %`;
  }

  /** Where a pointer is on the page, as ratios, however the page is turned. */
  at(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const clamp = (value) => Math.min(1, Math.max(0, value));
    return [clamp(point.x / this.page.width), clamp(point.y / this.page.height)];
  }

  press(event) {
    if (event.button !== 0 || !this.sheet) return;
    if (this.drawing) {
      event.preventDefault();
      this.stage.setPointerCapture(event.pointerId);
      this.drag = { from: this.corner ?? this.at(event), x: event.clientX, y: event.clientY };
    } else if (event.pointerType === "mouse" && !event.target.closest(".line")) {
      this.drag = { pan: true, x: event.clientX, y: event.clientY, left: this.stage.scrollLeft, top: this.stage.scrollTop };
    }
  }

  move(event) {
    if (this.drag?.pan) {
      this.stage.scrollLeft = this.drag.left - (event.clientX - this.drag.x);
      this.stage.scrollTop = this.drag.top - (event.clientY - this.drag.y);
    } else if (this.drawing && (this.drag || this.corner)) {
      this.outline(this.drag?.from ?? this.corner, this.at(event));
    }
  }

  release(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.pan || !this.drawing) return;
    const moved = Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK_PIXELS;
    if (!moved && !this.corner) {
      this.corner = drag.from;
      this.tell("Now click the opposite corner");
      return;
    }
    const box = this.outline(drag.from, this.at(event));
    this.corner = null;
    if ((box[2] - box[0]) * this.page.width < 3 || (box[3] - box[1]) * this.page.height < 3) return;
    this.on.box(this.index, box);
  }

  outline(one, other) {
    const box = [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[0], other[0]), Math.max(one[1], other[1])];
    let drawn = this.svg.querySelector(".drawn");
    if (!drawn) this.svg.append((drawn = shape("rect", { class: "drawn" })));
    const { width, height } = this.page;
    drawn.setAttribute("x", box[0] * width);
    drawn.setAttribute("y", box[1] * height);
    drawn.setAttribute("width", (box[2] - box[0]) * width);
    drawn.setAttribute("height", (box[3] - box[1]) * height);
    return box;
  }
}
