/* Conditions and log templates in the page: the debugger's grammar, a second time.
 *
 * The grammar and its meaning stand in `analysis/debugging/conditions.py` and `analysis/debugging/templates.py`;
 * `tests/cases/conditions.json` holds both implementations to the same answers, columns
 * included.  Nothing here runs text as code.  This file has no import and no export:
 * `stepper.py` puts it before `stepper.js`, which uses these functions.
 *
 *   readCondition(text)   a tree; throws ConditionError
 *   readTemplate(text)    its parts; throws ConditionError
 *   factsOf(run, number)  the facts of a step of the score
 *   holds(tree, facts)    whether a condition is true of a step
 *   fill(parts, facts)    what a template says of it
 */

const LARGEST = 0xffffffff;
const WORDS_OF_M = 16;
const DEEPEST = 32; // parentheses and nots within each other
const LOADS = [1, 2, 4]; // bytes that P[n:size] can have

const COMPARE = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};
const OPERATORS = Object.keys(COMPARE);
const REGISTERS = new Map(["A", "X", "pc", "len", "caplen", "ret"].map((name) => [name.toLowerCase(), name]));
const KNOWN = [...REGISTERS.keys(), "m", "p", "reads", "changed", "jumped", "missed", "and", "or", "not"];
const FOREIGN = new Map([
  ["=", "write =="],
  ["<>", "write !="],
  ["!", "write not"],
  ["&&", "write and"],
  ["||", "write or"],
  ["|", "write or; of arithmetic there is only &"],
  ["-", "registers are unsigned: -1 is 0xffffffff"],
]); // signs from elsewhere, and what to write here

const TOKEN =
  /(?<foreign>&&|\|\||<>|=(?!=)|!(?!=))|(?<number>[0-9][0-9A-Za-z_.]*)|(?<word>[A-Za-z_][A-Za-z_0-9]*)|(?<sign>==|!=|<=|>=|[\]\[<>&():\-])|(?<other>[^ \t])/gu;
const QUAD = /^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$/;
const NUMBER = /^(?:0|[1-9][0-9]*|0[xX][0-9a-fA-F]+)$/;

const PIECE =
  /(?<brace>\{\{|\}\})|\{(?<value>[^{}]*?)(?::(?<form>[^{}:[\]]*))?\}|(?<words>[^{}]+)|(?<lone>[{}])/g;
const FORM = /^(?:(?:0?[1-9][0-9]?)?d|#?(?:0?[1-9][0-9]?)?[xb]|0?[1-9][0-9]?|ip)$/;

class ConditionError extends Error {
  // `offset` and `length` are those of JavaScript's strings; `column` counts characters from 1.
  constructor(text, offset, length, message, cure = "") {
    super(message);
    this.offset = offset;
    this.length = length;
    this.column = Array.from(text.slice(0, offset)).length + 1;
    this.cure = cure;
  }

  get words() {
    return `column ${this.column}: ${this.message}${this.cure ? `; ${this.cure}` : ""}`;
  }
}

function readCondition(text) {
  const reader = new Reader(text, 0, text.length);
  const tree = reader.condition(0);
  reader.finish();
  return tree;
}

function readValue(text, start, stop) {
  const reader = new Reader(text, start, stop);
  const found = reader.value();
  const next = reader.peek();
  if (next.kind !== "end") reader.fail(next, `${quoted(next.text)} does not belong behind a value`);
  return found;
}

function readTemplate(text) {
  const parts = [];
  for (const match of text.matchAll(PIECE)) {
    const { brace, value, form, words, lone } = match.groups;
    if (lone) {
      const message = lone === "}" ? "there is no { for it" : "there is no } for it";
      throw new ConditionError(text, match.index, 1, message, `write ${lone}${lone} for a brace itself`);
    }
    if (value === undefined) {
      parts.push(words ?? brace[0]);
      continue;
    }
    const start = match.index + 1;
    const stop = start + value.length;
    if (form !== undefined && !FORM.test(form)) {
      const message = `${quoted(form)} is no way to write a number`;
      throw new ConditionError(text, stop + 1, form.length, message, "one of d, x, #x, 08x, #010x, b, ip");
    }
    parts.push({ value: readValue(text, start, stop), form: form ?? "d" });
  }
  return parts;
}

const ESCAPES = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function quoted(text) {
  // As Python quotes it: what cannot be seen stands as its number.
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const shown = text.replace(/[\\'\p{C}\p{Z}]/gu, (sign) => {
    if (sign === " ") return sign;
    if (sign === "'") return quote === sign ? "\\'" : sign;
    const number = sign.codePointAt(0).toString(16);
    const form = number.length > 4 ? ["U", 8] : number.length > 2 ? ["u", 4] : ["x", 2];
    return ESCAPES[sign] ?? `\\${form[0]}${number.padStart(form[1], "0")}`;
  });
  return `${quote}${shown}${quote}`;
}

// The nearest known word, by the measure of Python's difflib, which the text debugger uses.

function didYouMean(word) {
  if (word.length > 24) return ""; // too long to be near any
  const near = KNOWN.map((known) => [alike(known, word), known]).filter(([degree]) => degree >= 0.5);
  near.sort((one, other) => other[0] - one[0] || (one[1] < other[1] ? 1 : -1));
  return near.length ? `did you mean ${near[0][1]}?` : "";
}

const alike = (a, b) => (2 * matching(a, b)) / (a.length + b.length);

function matching(a, b) {
  // Characters in common: the longest common piece, and those before and behind it.
  let [best, inA, inB] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    for (let j = 0; j < b.length; j += 1) {
      let size = 0;
      while (i + size < a.length && j + size < b.length && a[i + size] === b[j + size]) size += 1;
      if (size > best) [best, inA, inB] = [size, i, j];
    }
  }
  if (!best) return 0;
  const before = matching(a.slice(0, inA), b.slice(0, inB));
  return before + best + matching(a.slice(inA + best), b.slice(inB + best));
}

class Reader {
  // Reads tokens from the left; one method a rule of the grammar.

  constructor(text, start, stop) {
    this.text = text;
    this.at = 0;
    this.tokens = [];
    let behind = start;
    const part = text.slice(0, stop);
    const pattern = new RegExp(TOKEN);
    pattern.lastIndex = start;
    for (const match of part.matchAll(pattern)) {
      const [kind] = Object.entries(match.groups).find(([, found]) => found !== undefined);
      const token = { kind, text: match[0], word: match[0].toLowerCase(), offset: match.index };
      if (kind === "foreign" || kind === "other") {
        this.fail(token, `${quoted(token.text)} is no sign of a condition`, FOREIGN.get(token.text));
      }
      this.tokens.push(token);
      behind = match.index + match[0].length;
    }
    this.end = { kind: "end", text: "", word: "", offset: behind };
  }

  fail(token, message, cure = "") {
    throw new ConditionError(this.text, token.offset, token.text.length, message, cure);
  }

  peek() {
    return this.tokens[this.at] ?? this.end;
  }

  take() {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  expect(sign, what) {
    const token = this.take();
    if (token.text !== sign) this.fail(token, `'${sign}' is missing here`, `write ${what}`);
  }

  finish() {
    const token = this.peek();
    if (token.kind === "end") return;
    let cure = "put and or or between tests";
    if (OPERATORS.includes(token.text)) cure = "one comparison at a time: 1 < A and A < 5";
    else if (token.text === ")") cure = "there is no ( for it";
    this.fail(token, `${quoted(token.text)} does not belong here`, cure);
  }

  condition(depth) {
    const tests = [this.test(depth)];
    const { word } = this.peek();
    while (["and", "or"].includes(this.peek().word)) {
      const token = this.take();
      if (token.word !== word) {
        const cure = "put parentheses around what belongs together";
        this.fail(token, `${token.word} beside ${word} can be read in two ways`, cure);
      }
      tests.push(this.test(depth));
    }
    return tests.length === 1 ? tests[0] : { kind: "joined", word, tests };
  }

  test(depth) {
    const token = this.peek();
    if (depth > DEEPEST) this.fail(token, `more than ${DEEPEST} parentheses and nots within each other`);
    if (token.word === "not") {
      this.take();
      return { kind: "not", test: this.test(depth + 1) };
    }
    if (token.text === "(") {
      this.take();
      const inner = this.condition(depth + 1);
      if (this.peek().text !== ")") this.fail(this.peek(), "')' is missing here", "put and, or or ) behind a test");
      this.take();
      return inner;
    }
    if (token.word === "reads") return this.reads();
    if (token.word === "changed") return this.changed();
    if (token.word === "jumped" || token.word === "missed") return { kind: "flag", name: this.take().word };
    return this.comparison();
  }

  comparison() {
    const left = this.value();
    const op = this.take();
    if (!OPERATORS.includes(op.text)) {
      const cure = `put one of ${OPERATORS.join(" ")} and a value behind it`;
      this.fail(op, "a comparison is missing here", cure);
    }
    return { kind: "compare", op: op.text, left, right: this.value() };
  }

  value() {
    const left = this.term();
    if (this.peek().text !== "&") return left;
    this.take();
    return { kind: "masked", left, right: this.term() };
  }

  term() {
    const token = this.take();
    if (token.kind === "number") return { kind: "number", value: this.number(token) };
    if (REGISTERS.has(token.word)) return { kind: "register", name: REGISTERS.get(token.word) };
    if (token.word === "m") return { kind: "word", index: this.scratch() };
    if (token.word === "p") return this.bytes();
    let message = `${quoted(token.text)} is no value`;
    let cure = "A, X, M[3], P[23], pc, len, ret, a number";
    if (token.kind === "end") message = "a value is missing here";
    else if (token.text === "-") [message, cure] = ["there are no negative numbers", FOREIGN.get("-")];
    else if (token.kind === "word") cure = didYouMean(token.word) || cure;
    return this.fail(token, message, cure);
  }

  number(token) {
    const { text } = token;
    if (QUAD.test(text)) {
      const octets = text.split(".").map(Number);
      if (Math.max(...octets) > 255) this.fail(token, `${text} is no IPv4 address`, "each part is 0–255");
      return octets.reduce((sum, octet) => sum * 256 + octet);
    }
    if (!NUMBER.test(text)) {
      const octal = /^0[0-9]*$/.test(text) ? "; octal is not read" : "";
      this.fail(token, `${quoted(text)} is no number`, `numbers are decimal, 0x… or an IPv4 address${octal}`);
    }
    const found = Number(text); // a giant one is inexact, but never small
    if (found > LARGEST) this.fail(token, `${text} is too big`, "registers hold 0–0xffffffff");
    return found;
  }

  index(what) {
    const token = this.take();
    if (token.kind !== "number") this.fail(token, "a number is missing here", `write ${what}`);
    return [token, this.number(token)];
  }

  scratch() {
    this.expect("[", "M[3]");
    const [token, found] = this.index("M[3]");
    if (found >= WORDS_OF_M) this.fail(token, `M[${found}] does not exist`, `M[0]–M[${WORDS_OF_M - 1}] do`);
    this.expect("]", "M[3]");
    return found;
  }

  bytes() {
    const form = "P[23] or P[12:2]";
    this.expect("[", form);
    const [, offset] = this.index(form);
    let size = 1;
    if (this.peek().text === ":") {
      this.take();
      const [token, found] = this.index(form);
      if (!LOADS.includes(found)) this.fail(token, `there are no loads of ${found} bytes`, "of 1, 2 or 4");
      size = found;
    }
    this.expect("]", form);
    return { kind: "bytes", offset, size };
  }

  reads() {
    this.take();
    if (this.peek().kind !== "number") return { kind: "reads" };
    const first = this.number(this.take());
    if (this.peek().text !== "-") return { kind: "reads", first, last: first };
    this.take();
    const [token, last] = this.index("reads 12-13");
    if (last < first) this.fail(token, "a range goes upwards", `write reads ${last}-${first}`);
    return { kind: "reads", first, last };
  }

  changed() {
    this.take();
    const token = this.peek();
    if (token.kind !== "word" || token.word === "and" || token.word === "or") return { kind: "changed" };
    this.take();
    if (!["a", "x", "m"].includes(token.word)) this.fail(token, `${token.text} does not change`, "A, X, M and M[3] do");
    if (token.word === "m" && this.peek().text === "[") return { kind: "changed", name: `M[${this.scratch()}]` };
    return { kind: "changed", name: token.word.toUpperCase() };
  }
}

// What they mean

const OCTETS = new WeakMap(); // a run's bytes as numbers, made once

function octetsOf(run) {
  if (!OCTETS.has(run)) OCTETS.set(run, (run.bytes.match(/../g) ?? []).map((byte) => parseInt(byte, 16)));
  return OCTETS.get(run);
}

function factsOf(run, number) {
  const step = run.steps[number];
  const last = number === run.steps.length - 1;
  const after = last ? run.end : run.steps[number + 1];
  const ret = last ? run.ret : null; // of a run that was stopped its last step, too, has none
  const M = Array.from({ length: WORDS_OF_M }, (_, k) => step.M[`M[${k}]`] ?? 0);
  const changed = ["A", "X"].filter((name) => step[name] !== after[name]);
  M.forEach((word, k) => {
    if (word !== (after.M[`M[${k}]`] ?? 0)) changed.push(`M[${k}]`);
  });
  return {
    pc: step.pc,
    A: step.A,
    X: step.X,
    M,
    P: octetsOf(run),
    len: run.wirelen,
    ret,
    reads: step.reads,
    changed,
    jumped: ret === null && after.pc !== step.pc + 1,
    missed: last && run.missed,
  };
}

function valueOf(value, facts) {
  if (value.kind === "number") return value.value;
  if (value.kind === "register") return value.name === "caplen" ? facts.P.length : facts[value.name];
  if (value.kind === "word") return facts.M[value.index];
  if (value.kind === "bytes") {
    const there = facts.P.slice(value.offset, value.offset + value.size);
    return there.length === value.size ? there.reduce((sum, octet) => sum * 256 + octet) : null;
  }
  const [a, b] = [valueOf(value.left, facts), valueOf(value.right, facts)];
  return a === null || b === null ? null : (a & b) >>> 0;
}

function holds(test, facts) {
  switch (test.kind) {
    case "compare": {
      const [a, b] = [valueOf(test.left, facts), valueOf(test.right, facts)];
      return a !== null && b !== null && COMPARE[test.op](a, b);
    }
    case "reads":
      if (test.first === undefined) return facts.reads.length > 0;
      return facts.reads.some(([offset, size]) => offset <= test.last && test.first < offset + size);
    case "changed":
      if (test.name === undefined) return facts.changed.length > 0;
      if (test.name === "M") return facts.changed.some((name) => name.startsWith("M["));
      return facts.changed.includes(test.name);
    case "flag":
      return facts[test.name];
    case "not":
      return !holds(test.test, facts);
    default: {
      const each = (inner) => holds(inner, facts);
      return test.word === "and" ? test.tests.every(each) : test.tests.some(each);
    }
  }
}

function fill(parts, facts) {
  return parts.map((part) => (typeof part === "string" ? part : written(valueOf(part.value, facts), part.form))).join("");
}

function written(value, form) {
  if (value === null) return "none";
  if (form === "ip") return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
  const [, sharp, zero, width, base] = form.match(/^(#?)(0?)([0-9]*)([dxb]?)$/);
  const digits = value.toString({ x: 16, b: 2 }[base] ?? 10);
  const prefix = sharp && `0${base}`;
  if (zero) return prefix + digits.padStart(Number(width) - prefix.length, "0");
  return (prefix + digits).padStart(Number(width));
}
