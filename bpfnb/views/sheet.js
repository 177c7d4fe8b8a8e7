/* A long list in a box that scrolls: the stepper's listing, and its packet; and ids.
 *
 * Rows have one height.  A short list is there at once; a long one is made in pieces, each when
 * it is first near to what is seen, or asked for, so that 4,096 instructions are no matter.
 * `stepper.py` puts this file before `stepper.js`; nothing here is exported.
 */

const CHUNK = 64; // rows
const AT_ONCE = 256; // rows that need no pieces
const NEAR = "300px"; // of what is seen

// Each widget of a page has a module of its own, and ids are the page's.
const OWN = Math.random().toString(36).slice(2);
let ids = 0;
const freshId = () => `bpfnb-${OWN}-${ids++}`;

class Sheet {
  // `make(at)` is what stands in row `at`: an object, its element in `line`.
  constructor(box, count, height, make) {
    this.box = box;
    this.count = count;
    this.height = height;
    this.make = make;
    this.rows = []; // those that are there, by number
    this.pieces = [];
    for (let start = 0; start < count; start += CHUNK) {
      const piece = document.createElement("div");
      piece.className = "piece";
      piece.setAttribute("role", "presentation");
      piece.style.height = `${Math.min(CHUNK, count - start) * height}px`;
      this.pieces.push(piece);
    }
    box.replaceChildren(...this.pieces);
    this.whole = count <= AT_ONCE;
    box.classList.toggle("long", !this.whole);
    if (this.whole) this.pieces.forEach((_, number) => this.fill(number));
    else this.watch();
  }

  watch() {
    if (this.count) this.row(0);
    const seen = (entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.fill(this.pieces.indexOf(target));
    };
    this.watcher = new IntersectionObserver(seen, { root: this.box, rootMargin: NEAR });
    for (const piece of this.pieces) this.watcher.observe(piece);
  }

  leave() {
    // Another list takes the box.
    this.watcher?.disconnect();
  }

  row(at) {
    if (!this.rows[at]) this.fill(Math.floor(at / CHUNK));
    return this.rows[at];
  }

  fill(number) {
    const first = number * CHUNK;
    if (this.rows[first]) return;
    for (let at = first; at < Math.min(first + CHUNK, this.count); at += 1) {
      this.rows[at] = this.make(at);
      this.pieces[number].append(this.rows[at].line);
      if (this.whole) continue;
      this.rows[at].line.setAttribute("aria-setsize", this.count);
      this.rows[at].line.setAttribute("aria-posinset", at + 1);
    }
    this.watcher?.unobserve(this.pieces[number]);
  }

  inView(at) {
    // Within its own box: the page does not jump.
    this.row(at);
    const above = at * this.height;
    const below = above + this.height - this.box.clientHeight;
    if (above < this.box.scrollTop) this.box.scrollTop = above;
    else if (below > this.box.scrollTop) this.box.scrollTop = below;
  }
}
