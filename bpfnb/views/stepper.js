/* The stepper's behaviour: it plays a score that `stepper.py` has written, and asks nobody.
 *
 * A position `at` lies before step number `at` of the chosen run; the last one, behind all
 * steps, is the end.  What is shown is a function of the position alone: `show` brings the
 * page there from anywhere, so that back is as good as forth.  All text is set as text.
 */

const KEYS = [
  ["→ or s", "one step on"],
  ["← or b", "one step back"],
  ["r", "run to the next breakpoint, or to the end"],
  ["Home, End", "to the start, to the end"],
  ["↑ ↓", "move the line's cursor"],
  ["c", "run to the cursor's line"],
  ["x", "breakpoint at the cursor's line, on or off (a click does the same)"],
  ["n p", "next packet, previous packet"],
  ["?", "this help"],
];

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(text, label, press) {
  const made = node("button", "", text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", press);
  return made;
}

function places(steps) {
  const found = new Set();
  for (const { reads } of steps) for (const [offset, size] of reads) for (let at = offset; at < offset + size; at += 1) found.add(at);
  return found;
}

const padded = (pc) => `(${String(pc).padStart(3, "0")})`;
const hex = (value) => `0x${(value >>> 0).toString(16)}`;

class Stepper {
  constructor(score, el) {
    this.score = score;
    this.stops = new Set();
    this.cursor = 0;
    this.root = node("div", "bpfnb-stepper");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "stepper");
    // JupyterLab's own keys stay silent while the focus is in here.
    this.root.dataset.lmSuppressShortcuts = "true";
    this.root.append(this.beside("above"), this.bar(), this.help(), this.words(), this.panels(), this.beside("below"));
    this.root.addEventListener("keydown", (event) => this.key(event));
    el.append(this.root);
    this.choose(score.first);
  }

  // What is there

  beside(where) {
    // HTML of our own views, made safe where it was made; everything else here is text.
    const made = node("div");
    made.innerHTML = this.score[where];
    return made;
  }

  bar() {
    const bar = node("div", "bar");
    this.back = button("◀ back", "one step back (←)", () => this.go(this.at - 1));
    this.forth = button("step ▶", "one step on (→)", () => this.go(this.at + 1));
    this.runs = button("run", "run to the next breakpoint (r)", () => this.run());
    this.to = button("to cursor", "run to the cursor's line (c)", () => this.run(this.cursor));
    this.reset = button("⇤ reset", "back to the start (Home)", () => this.go(0));
    this.scrub = node("input");
    this.scrub.type = "range";
    this.scrub.min = 0;
    this.scrub.setAttribute("aria-label", "position in the run");
    this.scrub.addEventListener("input", () => this.go(Number(this.scrub.value)));
    this.count = node("span", "count");
    this.packets = node("select");
    this.packets.setAttribute("aria-label", "packet");
    this.score.runs.forEach((run, number) => {
      const option = node("option", "", `${run.ret ? "✓" : "✗"} ${run.title}`);
      option.value = number;
      this.packets.append(option);
    });
    this.packets.addEventListener("change", () => this.choose(Number(this.packets.value)));
    this.asks = button("?", "the keys (?)", () => this.toggleHelp());
    this.asks.setAttribute("aria-expanded", "false");
    bar.append(this.packets, this.reset, this.back, this.forth, this.runs, this.to, this.scrub, this.count, this.asks);
    return bar;
  }

  help() {
    this.keys = node("div", "help");
    this.keys.hidden = true;
    for (const [keys, does] of KEYS) {
      const line = node("div");
      line.append(node("kbd", "", keys), ` ${does}`);
      this.keys.append(line);
    }
    return this.keys;
  }

  words() {
    this.said = node("div", "said");
    this.said.setAttribute("role", "status");
    this.said.setAttribute("aria-live", "polite");
    return this.said;
  }

  panels() {
    const panels = node("div", "panels");
    const left = node("div");
    this.listing = node("div", "listing");
    this.listing.setAttribute("role", "listbox");
    this.listing.setAttribute("aria-label", "program");
    this.listing.tabIndex = 0;
    this.rows = this.score.listing.map((insn, pc) => this.row(insn, pc));
    this.listing.append(...this.rows.map((row) => row.line));
    left.append(this.listing);
    const right = node("div");
    this.registers = node("table", "registers");
    this.registers.setAttribute("aria-label", "registers");
    this.path = node("div", "path");
    this.packet = node("div", "packet");
    this.packet.setAttribute("role", "region");
    this.packet.setAttribute("aria-label", "packet's bytes");
    this.packet.tabIndex = 0;
    right.append(this.registers, this.path, this.packet);
    if (this.score.left > 0) right.append(node("p", "note", `${this.score.left} more packets are not in here`));
    panels.append(left, right);
    return panels;
  }

  row(insn, pc) {
    const line = node("div", "row unseen");
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", "false");
    line.id = `${Stepper.name}-${Stepper.made++}`;
    line.title = insn.sentence;
    const mark = node("span", "mark");
    const stop = node("span", "stop");
    const code = node("span", "code", insn.text);
    code.style.borderLeftColor = insn.tone;
    const shown = insn.ways.filter(([kind]) => kind === "true" || kind === "false");
    const words = shown.map(([kind, to]) => `${kind === "true" ? "jt" : "jf"} ${to}`).join("  ");
    line.append(mark, stop, node("span", "pc", padded(pc)), code, node("span", "ways", words));
    if (insn.label) line.append(node("span", "ways", `; ${insn.label}:`));
    line.addEventListener("click", () => {
      this.point(pc);
      this.toggle(pc);
    });
    return { line, mark, stop };
  }

  // Where one is

  choose(number) {
    this.number = Math.max(0, Math.min(number, this.score.runs.length - 1));
    this.play = this.score.runs[this.number];
    this.packets.value = this.number;
    this.scrub.max = this.play.steps.length;
    this.packet.replaceChildren(...this.bytes());
    this.lit = { was: new Set(), now: new Set() };
    this.go(0);
  }

  bytes() {
    const data = this.play.bytes.match(/../g) || [];
    this.octets = data.map((byte) => node("span", "octet", byte));
    const lines = [];
    for (let start = 0; start < data.length; start += 16) {
      const line = node("div", "octets");
      const offset = `${start} ${hex(start)}`;
      line.append(node("span", "offset", offset), ...this.octets.slice(start, start + 16));
      lines.push(line);
    }
    return lines.length ? lines : [node("p", "note", "the packet is empty")];
  }

  go(at) {
    this.at = Math.max(0, Math.min(at, this.play.steps.length));
    this.show();
  }

  run(line) {
    let at = this.at + 1;
    const steps = this.play.steps;
    while (at < steps.length && !this.stops.has(steps[at].pc) && steps[at].pc !== line) at += 1;
    this.go(at);
  }

  toggle(pc) {
    if (!this.stops.delete(pc)) this.stops.add(pc);
    const on = this.stops.has(pc);
    this.rows[pc].stop.textContent = on ? "●" : "";
    this.rows[pc].line.classList.toggle("stops", on);
    this.rows[pc].line.setAttribute("aria-description", on ? "breakpoint" : "");
  }

  point(pc) {
    this.rows[this.cursor].line.classList.remove("cursor");
    this.rows[this.cursor].line.setAttribute("aria-selected", "false");
    this.cursor = Math.max(0, Math.min(pc, this.rows.length - 1));
    const { line } = this.rows[this.cursor];
    line.classList.add("cursor");
    line.setAttribute("aria-selected", "true");
    this.listing.setAttribute("aria-activedescendant", line.id);
    this.inView(this.listing, line);
  }

  inView(box, line) {
    // Within its own box: the page does not jump.
    const above = line.offsetTop - box.offsetTop;
    if (above < box.scrollTop) box.scrollTop = above;
    const below = above + line.offsetHeight - box.clientHeight;
    if (below > box.scrollTop) box.scrollTop = below;
  }

  toggleHelp() {
    this.keys.hidden = !this.keys.hidden;
    this.asks.setAttribute("aria-expanded", String(!this.keys.hidden));
  }

  // What is seen

  show() {
    const { steps, end } = this.play;
    const step = steps[this.at];
    const before = steps[this.at - 1];
    this.marks(step);
    this.state(step || end, before);
    this.tell(step, before);
    this.reads(before);
    this.scrub.value = this.at;
    this.scrub.setAttribute("aria-valuetext", `step ${this.at} of ${steps.length}`);
    this.count.textContent = `step ${this.at} of ${steps.length}`;
    this.back.disabled = this.reset.disabled = this.at === 0;
    this.forth.disabled = this.runs.disabled = this.to.disabled = this.at === steps.length;
    this.path.textContent = `path: ${steps.slice(0, this.at).slice(-24).map((each) => each.pc).join(" → ") || "–"}`;
  }

  marks(step) {
    for (const row of this.marked || []) {
      row.mark.textContent = "";
      row.line.classList.remove("here");
    }
    const seen = new Set(this.play.steps.slice(0, this.at + 1).map((each) => each.pc));
    for (const pc of this.seen || this.rows.keys()) if (!seen.has(pc)) this.rows[pc].line.classList.add("unseen");
    for (const pc of seen) this.rows[pc].line.classList.remove("unseen");
    this.seen = seen;
    this.marked = [];
    if (!step) return;
    for (const [kind, to] of this.score.listing[step.pc].ways) {
      const row = this.rows[to];
      row.mark.textContent = kind === "true" ? "→t" : kind === "false" ? "→f" : "→";
      this.marked.push(row);
    }
    const here = this.rows[step.pc];
    here.mark.textContent = "▶";
    here.line.classList.add("here");
    this.marked.push(here);
    this.point(step.pc);
  }

  state(now, before) {
    const wrote = new Set(before ? before.wrote : []);
    const lines = [["A", now.A], ["X", now.X], ...Object.entries(now.M)].map(([name, value]) => {
      const line = node("tr", wrote.has(name) ? "new" : "");
      const head = node("th", "", name);
      head.scope = "row";
      line.append(head, node("td", "", hex(value)), node("td", "", String(value)));
      line.append(node("td", "", wrote.has(name) ? "◀ just written" : ""));
      return line;
    });
    this.registers.replaceChildren(...lines);
  }

  tell(step, before) {
    const parts = [];
    const past = node("div");
    past.append(before ? `${padded(before.pc)} ${before.said}` : "Nothing has run yet.");
    parts.push(past);
    const next = node("div");
    if (step) {
      next.append("next: ", node("b", "", `${padded(step.pc)} ${this.score.listing[step.pc].transfer}`));
    } else {
      next.append(node("b", "", this.play.verdict));
    }
    parts.push(next);
    this.said.replaceChildren(...parts);
  }

  reads(before) {
    const was = places(this.play.steps.slice(0, this.at));
    const now = places(before ? [before] : []);
    this.relight("was", was);
    this.relight("now", now);
    if (!now.size) return;
    const [[offset]] = before.reads;
    const first = this.octets[offset];
    if (first) this.inView(this.packet, first.parentElement);
  }

  relight(name, places) {
    // Only what changes is touched: a step is one frame, however long the run.
    for (const at of this.lit[name]) if (!places.has(at)) this.octets[at].classList.remove(name);
    for (const at of places) if (!this.lit[name].has(at)) this.octets[at].classList.add(name);
    this.lit[name] = places;
  }

  // Keys

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const ranged = event.target === this.scrub || event.target === this.packets;
    const keys = {
      ArrowRight: () => this.go(this.at + 1),
      ArrowLeft: () => this.go(this.at - 1),
      s: () => this.go(this.at + 1),
      b: () => this.go(this.at - 1),
      r: () => this.run(),
      c: () => this.run(this.cursor),
      x: () => this.toggle(this.cursor),
      Home: () => this.go(0),
      End: () => this.go(this.play.steps.length),
      ArrowUp: () => this.point(this.cursor - 1),
      ArrowDown: () => this.point(this.cursor + 1),
      n: () => this.choose(this.number + 1),
      p: () => this.choose(this.number - 1),
      "?": () => this.toggleHelp(),
    };
    if (ranged && event.key.length > 1) return;
    const act = keys[event.key];
    if (!act) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  }
}
Stepper.made = 0;

function render({ model, el }) {
  new Stepper(model.get("score"), el);
}

export default { render };
