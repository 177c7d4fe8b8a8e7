/* The stepper's small graph: draws what `minimap.py` has placed, marks the way so far.
 *
 * Blocks are an option list, as the listing is: a click, or up and down, takes the line's
 * cursor to a block's first instruction.  What is marked is a function of the position.
 * `stepper.py` puts this file before `stepper.js`; nothing here is exported.
 *
 *   Reached       things met first at a position, lit while one stands there or behind it
 *   firsts        where a run meets things first
 *   Minimap       the graph
 */

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST = 0.75; // of its size, to which a graph shrinks before it scrolls
const ROOM = 330; // pixels of height before it shrinks
const SOME = 12; // instructions that a block's title tells
const WORDS_OF_KIND = { true: "t", false: "f" };

class Reached {
  // Only what a move passes is told: a step is one frame, however long the run.
  constructor(places, light) {
    this.places = places;
    this.light = light;
    this.order = [...places].sort(([, one], [, other]) => one - other);
    this.count = 0;
  }

  to(at) {
    for (; this.count < this.order.length && this.order[this.count][1] <= at; this.count += 1) {
      this.light(this.order[this.count][0], true);
    }
    for (; this.count && this.order[this.count - 1][1] > at; this.count -= 1) {
      this.light(this.order[this.count - 1][0], false);
    }
  }
}

function firsts(steps, met) {
  // `met(step, at)` are the things met at step number `at`.
  const found = new Map();
  steps.forEach((step, at) => {
    for (const thing of met(step, at)) if (!found.has(thing)) found.set(thing, at);
  });
  return found;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

class Minimap {
  constructor(plan, listing, press) {
    this.plan = plan;
    this.press = press;
    this.box = document.createElement("div");
    this.box.className = "map";
    this.blocks = [];
    this.reached = [];
    this.ways = [];
    if (plan.left) {
      this.box.className = "note";
      this.box.textContent = plan.left;
      return;
    }
    this.blockAt = new Map(); // by pc
    this.box.setAttribute("role", "listbox");
    this.box.setAttribute("aria-label", "basic blocks");
    this.box.tabIndex = 0;
    this.box.append(this.drawing(listing));
  }

  drawing(listing) {
    const { width, height, blocks, edges, tracks } = this.plan;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "presentation" });
    const least = SMALLEST * width;
    const most = Math.max(least, width * Math.min(1, ROOM / height));
    svg.style.width = `clamp(${least}px, 100%, ${most}px)`;
    // What is taken lies over what is not: each piece is drawn twice.
    const plain = tracks.map((track) => this.track(track, "plain"));
    this.strong = tracks.map((track) => this.track(track, "strong"));
    this.words = edges.map((edge) => this.word(edge));
    this.blocks = blocks.map((block) => this.block(block, listing));
    this.over = new Map(); // the pieces of an edge, by the instructions it joins
    tracks.forEach((track, number) => {
      for (const edge of track.edges) {
        const key = `${edges[edge].from} ${edges[edge].to}`;
        this.over.set(key, [...(this.over.get(key) ?? []), this.strong[number]]);
      }
    });
    svg.append(...plain, ...this.strong, ...this.words, ...this.blocks.map(({ group }) => group));
    return svg;
  }

  track({ d, tip, kind }, className) {
    const group = shape("g", { class: `track ${className} ${kind}` });
    group.append(shape("path", { d, class: "line" }));
    if (tip) group.append(shape("path", { d: tip, class: "tip" }));
    return group;
  }

  word({ x, y, left, kind }) {
    const at = { x: x + (left ? -5 : 5), y, class: "way", "text-anchor": left ? "end" : "start" };
    return shape("text", at, WORDS_OF_KIND[kind] ?? "");
  }

  block(block, listing) {
    const { start, stop, x, y, width, height, label, reachable } = block;
    const group = shape("g", { class: reachable ? "block" : "block unreachable", transform: `translate(${x} ${y})` });
    group.id = freshId();
    group.setAttribute("role", "option");
    group.setAttribute("aria-selected", "false");
    const pcs = stop - start > 1 ? `instructions ${start}–${stop - 1}` : `instruction ${start}`;
    const name = `${pcs}${label.includes("✓") ? ", accepts" : label.includes("✗") ? ", rejects" : ""}${reachable ? "" : ", unreachable"}`;
    group.setAttribute("aria-label", name);
    const lines = listing.slice(start, Math.min(stop, start + SOME)).map(({ text }, at) => `(${start + at}) ${text}`);
    if (stop - start > SOME) lines.push(`… ${stop - start - SOME} more …`);
    const mark = shape("text", { x: 9, y: 16.5, class: "sign" });
    group.append(
      shape("title", {}, [name, ...lines].join("\n")),
      shape("rect", { x: -3.5, y: -3.5, width: width + 7, height: height + 7, rx: 6, class: "ring" }),
      shape("rect", { width, height, rx: 4, class: "box" }),
      mark,
      shape("text", { x: width / 2, y: 16.5, "text-anchor": "middle", class: "pcs" }, label),
    );
    group.addEventListener("click", () => this.press(start));
    const made = { group, mark, start };
    for (let pc = start; pc < stop; pc += 1) this.blockAt.set(pc, made);
    return made;
  }

  // A run, and a position in it

  play(steps) {
    for (const each of this.reached) each.to(-1);
    if (!this.blocks.length) return;
    const entered = firsts(steps, ({ pc }) => [this.blockAt.get(pc).group]);
    const taken = firsts(steps, ({ pc }, at) => (at && this.over.get(`${steps[at - 1].pc} ${pc}`)) || []);
    this.reached = [
      new Reached(entered, (group, on) => group.classList.toggle("entered", on)),
      new Reached(taken, (track, on) => track.classList.toggle("taken", on)),
    ];
  }

  to(at, step, before) {
    // `step` is the next one, null at the end; `before` the one that has just run.
    if (!this.blocks.length) return;
    for (const each of this.reached) each.to(at);
    for (const each of this.ways) each.classList.remove("next");
    this.ways = step ? this.next(step.pc) : [];
    for (const each of this.ways) each.classList.add("next");
    const here = this.blockAt.get((step ?? before)?.pc);
    if (this.here) {
      this.here.mark.textContent = "";
      this.here.group.classList.remove("here");
      this.here.group.removeAttribute("aria-current");
    }
    this.here = here;
    if (!here) return;
    here.mark.textContent = step ? "▶" : "■";
    here.group.classList.add("here");
    here.group.setAttribute("aria-current", "step");
    this.inView(here.group);
  }

  next(pc) {
    // Both ways on from an instruction: their pieces of edge, and their words.
    const found = [];
    this.plan.edges.forEach(({ from, to }, at) => {
      if (from === pc) found.push(this.words[at], ...(this.over.get(`${from} ${to}`) ?? []));
    });
    return found;
  }

  point(pc) {
    // The line's cursor stands at an instruction.
    const chosen = this.blocks.length ? this.blockAt.get(pc) : undefined;
    if (!chosen || chosen === this.chosen) return;
    this.chosen?.group.setAttribute("aria-selected", "false");
    this.chosen = chosen;
    chosen.group.setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", chosen.group.id);
    this.inView(chosen.group);
  }

  move(by) {
    const at = this.blocks.indexOf(this.chosen) + by;
    if (at >= 0 && at < this.blocks.length) this.press(this.blocks[at].start);
  }

  inView(group) {
    // Within its own box: the page does not jump.
    const [inner, outer] = [group.getBoundingClientRect(), this.box.getBoundingClientRect()];
    const room = 34; // a little of what comes before and after
    if (inner.top < outer.top) this.box.scrollTop -= outer.top - inner.top + room;
    else if (inner.bottom > outer.bottom) this.box.scrollTop += inner.bottom - outer.bottom + room;
    if (inner.left < outer.left) this.box.scrollLeft -= outer.left - inner.left + room;
    else if (inner.right > outer.right) this.box.scrollLeft += inner.right - outer.right + room;
  }
}
