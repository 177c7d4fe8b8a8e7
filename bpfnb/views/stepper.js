/* The stepper's behaviour: it plays a score that `stepper.py` has written, and asks nobody.
 *
 * A position `at` lies before step number `at` of the chosen run; the last one, behind all
 * steps, is the end.  What is shown is a function of the position alone: `show` brings the
 * page there from anywhere, so that back is as good as forth; the log, too, is what has been
 * said up to here.  Breakpoints, watches and logpoints mean what they mean to the text
 * debugger (`analysis/debugging/points.py`), within one packet.  All text is set as text.
 *
 * `stepper.py` puts three files before this one.  From `conditions.js` are readCondition,
 * readTemplate, factsOf, holds and fill; from `sheet.js` Sheet and freshId; from `minimap.js`
 * the graph, Reached and firsts.
 */

const KEYS = [
  ["→ or s", "one step on"],
  ["← or b", "one step back"],
  ["r", "run to the next breakpoint or watch, or to the end"],
  ["Home, End", "to the start, to the end"],
  ["↑ ↓", "move the line's cursor; in the graph, from block to block"],
  ["c", "run to the cursor's line"],
  ["x", "breakpoint at the cursor's line, on or off (a click does the same)"],
  ["w", "write a condition, a watch or a log; Escape leads back"],
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

function able(pressed, whether) {
  // Not `disabled`: that takes the focus away, and keys would then be the notebook's.
  pressed.setAttribute("aria-disabled", String(!whether));
}

function places(step) {
  // The bytes that a step read.
  const found = [];
  for (const [offset, size] of step?.reads ?? []) for (let at = offset; at < offset + size; at += 1) found.push(at);
  return found;
}

const POINTS = {
  break: { label: "break if", asks: "condition to break on", example: "A == 0x800" },
  watch: { label: "watch", asks: "condition to watch", example: "changed X and X > 20" },
  log: { label: "log", asks: "words to log", example: "A is {A:#x}" },
};
const MOST_LINES = 200; // of the log, the last ones
const ROW = 20; // pixels of a line of the listing
const BYTES = 22; // and of a line of the packet; stepper.css has both
const WIDE = 16; // bytes in one
const LAST = 24; // steps that the path tells in words
const LEGEND = "solid: true, dashed: false; thick: the way so far";

const counted = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? " is" : "s are"}`;
const padded = (pc) => `(${String(pc).padStart(3, "0")})`;
const hex = (value) => `0x${(value >>> 0).toString(16)}`;

class Stepper {
  constructor(score, el) {
    this.score = score;
    this.breakpoints = new Map(); // by pc: a condition, or null
    this.watches = [];
    this.logpoints = new Map(); // by pc: a template
    this.halted = false; // whether a run stopped right here
    this.cursor = 0;
    this.root = node("div", "bpfnb-stepper tex2jax_ignore mathjax_ignore"); // $…$ is no formula here
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "stepper");
    // Jupyter's own keys stay silent while the focus is in here.  Their selectors ask for what
    // has the focus, and Notebook 7 looks before any of our listeners: hence the mark on both.
    const quiet = ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true");
    quiet({ target: this.root });
    this.root.addEventListener("focusin", quiet);
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
    this.back = button("◀ back", "one step back (←)", () => this.step(-1));
    this.forth = button("step ▶", "one step on (→)", () => this.step(1));
    this.runs = button("run", "run to the next breakpoint or watch (r)", () => this.run());
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
    this.rows = new Sheet(this.listing, this.score.listing.length, ROW, (pc) => this.row(this.score.listing[pc], pc));
    left.append(this.listing, this.adder(), this.lists());
    const state = node("div", "state");
    this.registers = node("table", "registers");
    this.registers.setAttribute("aria-label", "registers");
    this.packet = node("div", "packet");
    this.packet.setAttribute("role", "region");
    this.packet.setAttribute("aria-label", "packet's bytes");
    this.packet.tabIndex = 0;
    state.append(this.registers, this.packet);
    if (this.score.left > 0) state.append(node("p", "note", `${counted(this.score.left, "more packet")} not in here`));
    panels.append(left, state, this.graph());
    return panels;
  }

  graph() {
    const made = node("div", "graph");
    this.path = node("div", "path");
    this.map = new Minimap(this.score.map, this.score.listing, (pc) => this.point(pc));
    made.append(this.path, this.map.box);
    if (!this.score.map.left) made.append(node("p", "note", LEGEND));
    return made;
  }

  adder() {
    // One row to add a point: its kind, the line it is for, its words.
    this.form = node("form", "adder");
    this.form.setAttribute("aria-label", "add a breakpoint, a watch or a log");
    this.kind = node("select");
    this.kind.setAttribute("aria-label", "kind");
    for (const [kind, { label }] of Object.entries(POINTS)) {
      const option = node("option", "", label);
      option.value = kind;
      this.kind.append(option);
    }
    this.kind.addEventListener("change", () => this.ask());
    this.where = node("span", "where");
    this.entry = node("input", "entry");
    this.entry.type = "text";
    this.entry.spellcheck = false;
    this.entry.autocomplete = "off";
    this.entry.addEventListener("input", () => this.blame(null));
    const add = button("add", "add it (Enter)", () => {});
    add.type = "submit";
    this.wrong = node("div", "wrong");
    this.wrong.setAttribute("role", "alert");
    this.wrong.id = freshId();
    this.form.append(this.kind, this.where, this.entry, add, this.wrong);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    this.ask();
    return this.form;
  }

  ask() {
    const { asks, example } = POINTS[this.kind.value];
    this.entry.setAttribute("aria-label", asks);
    this.entry.placeholder = example;
    this.where.hidden = this.kind.value === "watch";
    this.blame(null);
  }

  lists() {
    const made = node("div");
    this.points = node("ul", "points");
    this.points.setAttribute("aria-label", "breakpoints, watches and logs");
    this.points.hidden = true;
    this.log = node("div", "log");
    this.log.setAttribute("role", "log");
    this.log.setAttribute("aria-label", "log");
    this.log.tabIndex = 0;
    this.log.hidden = true;
    made.append(this.points, this.log);
    return made;
  }

  row(insn, pc) {
    const line = node("div", this.ran?.places.get(pc) <= this.at ? "row" : "row unseen");
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", "false");
    line.id = freshId();
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
    const made = { line, mark, stop };
    this.markPoints(pc, made);
    return made;
  }

  // Where one is

  choose(number) {
    this.number = Math.max(0, Math.min(number, this.score.runs.length - 1));
    this.play = this.score.runs[this.number];
    const { steps } = this.play;
    this.packets.value = this.number;
    this.scrub.max = steps.length;
    this.at = 0;
    this.ran?.to(-1);
    this.ran = new Reached(firsts(steps, ({ pc }) => [pc]), (pc, on) => this.rows.rows[pc]?.line.classList.toggle("unseen", !on));
    this.read = new Reached(firsts([null, ...steps], places), (at, on) => this.light(at, "was", on));
    this.now = [];
    this.bytes();
    this.map.play(steps);
    this.go(0);
  }

  bytes() {
    const data = this.play.bytes.match(/../g) || [];
    const names = new Map();
    for (const [start, size, name] of this.play.fields) {
      for (let at = start; at < start + size; at += 1) names.set(at, names.has(at) ? `${names.get(at)}, ${name}` : name);
    }
    this.octets?.leave();
    this.octets = new Sheet(this.packet, Math.ceil(data.length / WIDE), BYTES, (number) => this.line(number * WIDE, data, names));
    if (!data.length) this.packet.append(node("p", "note", "the packet is empty"));
  }

  line(start, data, names) {
    const line = node("div", "octets");
    const octets = data.slice(start, start + WIDE).map((byte, number) => {
      const at = start + number;
      const octet = node("span", "octet", byte);
      if (names.has(at)) octet.title = `byte ${at}: ${names.get(at)}`;
      octet.classList.toggle("was", this.read.places.get(at) <= this.at);
      octet.classList.toggle("now", this.now.includes(at));
      return octet;
    });
    line.append(node("span", "offset", `${start} ${hex(start)}`), ...octets);
    return { line, octets };
  }

  light(at, name, on) {
    // A line that is not there yet takes its looks when it is made.
    this.octets.rows[Math.floor(at / WIDE)]?.octets[at % WIDE].classList.toggle(name, on);
  }

  go(at, reason = "") {
    this.at = Math.max(0, Math.min(at, this.play.steps.length));
    this.halted = reason !== "";
    this.show(reason);
  }

  step(by) {
    // One that goes nowhere changes nothing: a run that has stopped here still gets past it.
    if (by < 0 ? this.at : this.at < this.play.steps.length) this.go(this.at + by);
  }

  run(line) {
    const { steps } = this.play;
    const fresh = this.at === 0 && !this.halted; // a run may then stop right here
    let at = this.at;
    let before = at ? factsOf(this.play, at - 1) : null;
    for (; at < steps.length; at += 1) {
      const now = factsOf(this.play, at);
      const reason = at > this.at || fresh ? this.halt(before, now) : "";
      if (reason) return this.go(at, reason);
      if (at > this.at && now.pc === line) break;
      before = now;
    }
    return this.go(at);
  }

  halt(before, now) {
    // Why a run stops at a step, "" when it does not; `before` is the step before it.
    if (this.breakpoints.has(now.pc)) {
      const condition = this.breakpoints.get(now.pc);
      if (!condition || holds(condition.tree, now)) return `breakpoint at ${padded(now.pc)}${condition ? ` if ${condition.text}` : ""}`;
    }
    const turned = this.watches.find(({ tree }) => holds(tree, now) && !(before && holds(tree, before)));
    return turned ? `watch: ${turned.text} became true` : "";
  }

  // Breakpoints, watches, logpoints

  toggle(pc) {
    if (!this.breakpoints.delete(pc)) this.breakpoints.set(pc, null);
    this.setPoints();
  }

  add() {
    const text = this.entry.value;
    try {
      if (this.kind.value === "log") {
        const parts = readTemplate(text);
        if (!text.trim()) throw new ConditionError(text, 0, 0, "a log has something to say", "A is {A:#x}");
        this.logpoints.set(this.cursor, { text, parts });
      } else {
        const condition = { text: text.replace(/^[ \t]+|[ \t]+$/g, ""), tree: readCondition(text) };
        if (this.kind.value === "watch") this.watches.push(condition);
        else this.breakpoints.set(this.cursor, condition);
      }
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      this.blame(error);
      return;
    }
    this.entry.value = "";
    this.setPoints();
  }

  blame(error) {
    this.wrong.textContent = error ? error.words : "";
    if (!error) {
      this.entry.removeAttribute("aria-invalid");
      this.entry.removeAttribute("aria-describedby");
      return;
    }
    this.entry.setAttribute("aria-invalid", "true");
    this.entry.setAttribute("aria-describedby", this.wrong.id);
    this.entry.focus();
    this.entry.setSelectionRange(error.offset, error.offset + error.length);
  }

  setPoints() {
    // Show what is set: in the list, at its lines, and in the log.
    const inOrder = (points) => [...points].sort(([one], [other]) => one - other);
    const lines = [
      ...inOrder(this.breakpoints).map(([pc, condition]) => [
        `break at ${padded(pc)}${condition ? ` if ${condition.text}` : ""}`,
        () => this.breakpoints.delete(pc),
      ]),
      ...this.watches.map((watch, at) => [`watch ${watch.text}`, () => this.watches.splice(at, 1)]),
      ...inOrder(this.logpoints).map(([pc, { text }]) => [`log at ${padded(pc)}: ${text}`, () => this.logpoints.delete(pc)]),
    ];
    this.points.replaceChildren(...lines.map(([words, remove]) => this.listed(words, remove)));
    this.points.hidden = !lines.length;
    this.rows.rows.forEach((row, pc) => this.markPoints(pc, row));
    this.say();
  }

  listed(words, remove) {
    const line = node("li", "", words);
    line.append(
      button("✕", `remove: ${words}`, () => {
        remove();
        this.setPoints();
        this.listing.focus(); // the button is gone
      }),
    );
    return line;
  }

  markPoints(pc, { line, stop }) {
    const condition = this.breakpoints.get(pc);
    const [stops, logs] = [this.breakpoints.has(pc), this.logpoints.has(pc)];
    stop.textContent = `${stops ? (condition ? "◐" : "●") : ""}${logs ? "✎" : ""}`;
    line.classList.toggle("stops", stops);
    const words = [];
    if (stops) words.push(condition ? `breakpoint if ${condition.text}` : "breakpoint");
    if (logs) words.push(`log: ${this.logpoints.get(pc).text}`);
    line.setAttribute("aria-description", words.join("; "));
  }

  say() {
    // What logpoints say of the steps that have run.
    this.log.hidden = !this.logpoints.size;
    const said = [];
    if (this.logpoints.size) {
      this.play.steps.slice(0, this.at).forEach(({ pc }, at) => {
        if (this.logpoints.has(pc)) said.push([at, pc]);
      });
    }
    const lines = said.slice(-MOST_LINES).map(([at, pc]) => {
      const words = fill(this.logpoints.get(pc).parts, factsOf(this.play, at));
      return node("div", "", `step ${at} ${padded(pc)} ${words}`);
    });
    const left = said.length - lines.length;
    if (left) lines.unshift(node("div", "note", `${counted(left, "earlier line")} not shown`));
    this.log.replaceChildren(...(lines.length ? lines : [node("div", "note", "nothing logged up to here")]));
    this.log.scrollTop = this.log.scrollHeight;
  }

  point(pc) {
    const old = this.rows.row(this.cursor).line;
    old.classList.remove("cursor");
    old.setAttribute("aria-selected", "false");
    this.cursor = Math.max(0, Math.min(pc, this.rows.count - 1));
    const { line } = this.rows.row(this.cursor);
    line.classList.add("cursor");
    line.setAttribute("aria-selected", "true");
    this.listing.setAttribute("aria-activedescendant", line.id);
    this.where.textContent = `at ${padded(this.cursor)}`;
    this.rows.inView(this.cursor);
    this.map.point(this.cursor);
  }

  move(event, by) {
    // The cursor goes by lines; in the graph by blocks.
    if (this.map.box === event.target) this.map.move(by);
    else this.point(this.cursor + by);
  }

  toggleHelp() {
    this.keys.hidden = !this.keys.hidden;
    this.asks.setAttribute("aria-expanded", String(!this.keys.hidden));
  }

  // What is seen

  show(reason) {
    const { steps, end } = this.play;
    const step = steps[this.at];
    const before = steps[this.at - 1];
    this.ran.to(this.at);
    this.marks(step, before);
    this.map.to(this.at, step, before);
    this.state(step || end, before);
    this.tell(step, before, reason);
    this.reads(before);
    this.say();
    this.scrub.value = this.at;
    this.scrub.setAttribute("aria-valuetext", `step ${this.at} of ${steps.length}`);
    this.count.textContent = `step ${this.at} of ${steps.length}`;
    for (const each of [this.back, this.reset]) able(each, this.at > 0);
    for (const each of [this.forth, this.runs, this.to]) able(each, this.at < steps.length);
    this.path.textContent = `path: ${this.at > LAST ? "… → " : ""}${steps.slice(Math.max(0, this.at - LAST), this.at).map((each) => each.pc).join(" → ") || "–"}`;
  }

  marks(step, before) {
    for (const row of this.marked || []) {
      row.mark.textContent = "";
      row.line.classList.remove("here");
    }
    this.marked = [];
    if (!step) return this.ended(before);
    for (const [kind, to] of this.score.listing[step.pc].ways) {
      const row = this.rows.row(to);
      row.mark.textContent = kind === "true" ? "→t" : kind === "false" ? "→f" : "→";
      this.marked.push(row);
    }
    const here = this.rows.row(step.pc);
    here.mark.textContent = "▶";
    here.line.classList.add("here");
    this.marked.push(here);
    this.point(step.pc);
  }

  ended(last) {
    // Where the run has ended; a program without an instruction has no step.
    if (!last) return;
    const row = this.rows.row(last.pc);
    row.mark.textContent = "■";
    this.marked.push(row);
    this.point(last.pc);
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

  tell(step, before, reason) {
    const parts = [];
    const past = node("div");
    past.append(before ? `${padded(before.pc)} ${before.said}` : "Nothing has run yet.");
    if (before && before.names) past.append(node("span", "names", ` · ${before.names}`));
    parts.push(past);
    const next = node("div");
    if (reason) next.append(node("span", "reason", `■ ${reason}`), "; ");
    if (step) {
      next.append("next: ", node("b", "", `${padded(step.pc)} ${this.score.listing[step.pc].transfer}`));
    } else {
      next.append(node("b", "", this.play.verdict));
    }
    parts.push(next);
    this.said.replaceChildren(...parts);
  }

  reads(before) {
    this.read.to(this.at);
    for (const at of this.now) this.light(at, "now", false);
    this.now = places(before);
    for (const at of this.now) this.light(at, "now", true);
    if (this.now.length) this.octets.inView(Math.floor(this.now[0] / WIDE));
  }

  // Keys

  key(event) {
    if (this.form.contains(event.target)) {
      // Letters are text here, and nobody else's keys.
      event.stopPropagation();
      if (event.key === "Escape") this.listing.focus();
      return;
    }
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const ranged = event.target === this.scrub || event.target === this.packets;
    const keys = {
      ArrowRight: () => this.step(1),
      ArrowLeft: () => this.step(-1),
      s: () => this.step(1),
      b: () => this.step(-1),
      r: () => this.run(),
      c: () => this.run(this.cursor),
      x: () => this.toggle(this.cursor),
      Home: () => this.go(0),
      End: () => this.go(this.play.steps.length),
      ArrowUp: () => this.move(event, -1),
      ArrowDown: () => this.move(event, 1),
      w: () => this.entry.focus(),
      n: () => this.choose(this.number + 1),
      p: () => this.choose(this.number - 1),
      "?": () => this.toggleHelp(),
    };
    if (ranged && event.key.length > 1) return;
    // A box that scrolls does so by these.
    if ([this.packet, this.log].includes(event.target) && ["ArrowUp", "ArrowDown"].includes(event.key)) return;
    const act = keys[event.key];
    if (!act) return;
    act();
    event.preventDefault();
    event.stopPropagation();
  }
}

function render({ model, el }) {
  new Stepper(model.get("score"), el);
}

export default { render };
