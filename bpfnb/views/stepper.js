/* The stepper's behaviour: it plays a score that `stepper.py` has written, and asks nobody.
 *
 * A position `at` lies before step number `at` of the chosen run; the last one, behind all
 * steps, is the end.  What is shown is a function of the position alone: `show` brings the
 * page there from anywhere, so that back is as good as forth; the log, too, is what has been
 * said up to here.  Breakpoints, watches and logpoints mean what they mean to the text
 * debugger (`analysis/points.py`), within one packet.  All text is set as text.
 *
 * `stepper.py` puts `conditions.js` before this file: readCondition, readTemplate, factsOf,
 * holds and fill are from there.
 */

const KEYS = [
  ["→ or s", "one step on"],
  ["← or b", "one step back"],
  ["r", "run to the next breakpoint or watch, or to the end"],
  ["Home, End", "to the start, to the end"],
  ["↑ ↓", "move the line's cursor"],
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

function places(steps) {
  const found = new Set();
  for (const { reads } of steps) for (const [offset, size] of reads) for (let at = offset; at < offset + size; at += 1) found.add(at);
  return found;
}

const POINTS = {
  break: { label: "break if", asks: "condition to break on", example: "A == 0x800" },
  watch: { label: "watch", asks: "condition to watch", example: "changed X and X > 20" },
  log: { label: "log", asks: "words to log", example: "A is {A:#x}" },
};
const MOST_LINES = 200; // of the log, the last ones

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
    this.rows = this.score.listing.map((insn, pc) => this.row(insn, pc));
    this.listing.append(...this.rows.map((row) => row.line));
    left.append(this.listing, this.adder(), this.lists());
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
    this.wrong.id = `${Stepper.name}-${Stepper.made++}`;
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
    const names = new Map();
    for (const [start, size, name] of this.play.fields) {
      for (let at = start; at < start + size; at += 1) names.set(at, names.has(at) ? `${names.get(at)}, ${name}` : name);
    }
    this.octets = data.map((byte, at) => {
      const octet = node("span", "octet", byte);
      if (names.has(at)) octet.title = `byte ${at}: ${names.get(at)}`;
      return octet;
    });
    const lines = [];
    for (let start = 0; start < data.length; start += 16) {
      const line = node("div", "octets");
      const offset = `${start} ${hex(start)}`;
      line.append(node("span", "offset", offset), ...this.octets.slice(start, start + 16));
      lines.push(line);
    }
    return lines.length ? lines : [node("p", "note", "the packet is empty")];
  }

  go(at, reason = "") {
    this.at = Math.max(0, Math.min(at, this.play.steps.length));
    this.halted = reason !== "";
    this.show(reason);
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
    this.rows.forEach((_, pc) => this.markPoints(pc));
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

  markPoints(pc) {
    const { line, stop } = this.rows[pc];
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
    if (left) lines.unshift(node("div", "note", `${left} earlier lines are not shown`));
    this.log.replaceChildren(...(lines.length ? lines : [node("div", "note", "nothing logged up to here")]));
    this.log.scrollTop = this.log.scrollHeight;
  }

  point(pc) {
    this.rows[this.cursor].line.classList.remove("cursor");
    this.rows[this.cursor].line.setAttribute("aria-selected", "false");
    this.cursor = Math.max(0, Math.min(pc, this.rows.length - 1));
    const { line } = this.rows[this.cursor];
    line.classList.add("cursor");
    line.setAttribute("aria-selected", "true");
    this.listing.setAttribute("aria-activedescendant", line.id);
    this.where.textContent = `at ${padded(this.cursor)}`;
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

  show(reason) {
    const { steps, end } = this.play;
    const step = steps[this.at];
    const before = steps[this.at - 1];
    this.marks(step);
    this.state(step || end, before);
    this.tell(step, before, reason);
    this.reads(before);
    this.say();
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
    if (this.form.contains(event.target)) {
      // Letters are text here, and nobody else's keys.
      event.stopPropagation();
      if (event.key === "Escape") this.listing.focus();
      return;
    }
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
      w: () => this.entry.focus(),
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
