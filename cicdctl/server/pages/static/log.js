// A log of any length: only the lines in sight are in the page, fetched in windows; those that come are appended.
import { show } from "/static/ansi.js";
import { Marks, highlight } from "/static/marks.js";

const WINDOW = 200;
const ROW = 20;
const KEPT = 30; // windows
const END_PX = 5;
const MOST_PX = 15e6; // browsers end between 17 and 33 million; above it the scrollbar is scaled
const LONG = 4000; // the server counts a line of more than 16 KB as several
const SOON_MS = 25;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export class LogView {
  constructor(root) {
    const facts = root.dataset;
    this.root = root;
    this.api = facts.api;
    this.stage = facts.stage;
    this.attempt = Number(facts.attempt);
    this.total = Number(facts.total);
    this.end = Number(facts.size); // the byte up to which the lines are known
    this.isOpen = "open" in facts; // whether the last line goes on
    this.isKnown = true; // whether that is known
    this.isGrowing = "growing" in facts;
    this.isFollowing = this.isGrowing;
    this.windows = new Map();
    this.loading = new Map();
    this.folds = [];
    this.hits = [];
    this.hit = -1;
    this.query = "";
    this.marked = null;
    this.top = 0; // in pixels of a log that has no limit
    this.last = 0; // what scrollTop was
    this.build();
    this.resize();
    const error = Number(facts.error);
    if (!this.goToHash() && error) this.goTo(error - 1, 0.3);
    else if (this.isFollowing) this.toEnd();
    else if (!this.marked) this.toEnd();
    this.tell();
  }

  close() {
    this.watcher.disconnect();
    removeEventListener("hashchange", this.onHash);
    this.root.remove();
  }

  build() {
    const button = (label, title, then) => {
      const one = make("button", { type: "button", class: "small", title }, label);
      one.addEventListener("click", then);
      return one;
    };
    this.field = make("input", { type: "search", placeholder: "Search the log", "aria-label": "Search the log", "data-search": "", spellcheck: "false" });
    this.says = make("span", { class: "soft", role: "status" });
    this.follows = button("Follow", "Stay at the end (f)", () => this.setFollowing(!this.isFollowing));
    this.wraps = button("Wrap", "Break long lines", () => this.setWrapping(!this.isWrapping));
    this.wraps.setAttribute("aria-pressed", "false");
    const tools = make("div", { class: "tools" }, this.field, button("Previous", "Previous match (N)", () => this.step(-1)),
      button("Next", "Next match (n)", () => this.step(1)), this.says, make("span", { class: "actions" },
        button("Start", "First line", () => { this.setFollowing(false); this.goTo(0, 0); }), button("End", "Last line", () => this.toEnd()), this.wraps, this.follows));
    this.layer = make("div", { class: "layer" });
    this.rows = make("div", { class: "rows" }, this.layer);
    this.view = make("div", { class: "view", tabindex: "0", role: "region", "aria-label": `Log of ${this.stage}` }, this.rows);
    this.nothing = make("p", { class: "empty soft" });
    this.marks = new Marks();
    this.root.replaceChildren(tools, make("div", { class: "pane" }, this.view, this.nothing, this.marks.element));
    this.view.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.layer.addEventListener("click", (event) => this.onClick(event));
    this.field.addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.search(), 200); });
    this.field.addEventListener("keydown", (event) => { if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1); });
    this.onHash = () => this.goToHash();
    addEventListener("hashchange", this.onHash);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.view);
  }

  // Where what is

  get count() { return this.total - this.folds.reduce((sum, fold) => sum + fold.to - fold.from, 0); }
  get full() { return this.count * ROW + (this.isWrapping ? Math.max(0, this.view.clientHeight - ROW) : 0); }
  get most() { return Math.max(0, this.full - this.view.clientHeight); }
  get isScaled() { return this.full > MOST_PX; }

  lineAt(row) {
    let line = row;
    for (const fold of this.folds) if (line >= fold.from) line += fold.to - fold.from;
    return line;
  }

  rowOf(line) {
    return this.folds.reduce((row, fold) => (line >= fold.to ? row - (fold.to - fold.from) : row), line);
  }

  resize() {
    this.rows.style.height = `${Math.min(this.full, MOST_PX)}px`;
    if (this.isFollowing) this.top = this.most;
    this.place();
    this.paint();
  }

  // Puts the scrollbar where it belongs.
  place() {
    this.top = Math.min(this.most, Math.max(0, this.top));
    const most = this.view.scrollHeight - this.view.clientHeight;
    this.view.scrollTop = this.isScaled ? (this.top / this.most) * most : this.top;
    this.last = this.view.scrollTop;
  }

  onScroll() {
    const now = this.view.scrollTop;
    const moved = now - this.last;
    if (moved === 0) { this.paint(); return; }
    const most = this.view.scrollHeight - this.view.clientHeight;
    this.last = now;
    if (!this.isScaled) this.top = now;
    else if (now <= 0) this.top = 0;
    else if (now >= most - 1) this.top = this.most;
    // A small step is one of the lines, a large one is one of the scrollbar.
    else this.top = Math.abs(moved) <= this.view.clientHeight ? Math.min(this.most, Math.max(0, this.top + moved)) : (now / most) * this.most;
    if (this.isScaled) { clearTimeout(this.resting); this.resting = setTimeout(() => this.place(), 150); }
    this.setFollowing(this.isGrowing && this.most - this.top <= END_PX, false);
    this.paint();
  }

  goTo(line, share = 0.3) {
    this.folds = this.folds.filter((fold) => line < fold.from || line >= fold.to);
    this.top = this.rowOf(Math.min(Math.max(0, line), Math.max(0, this.total - 1))) * ROW - share * this.view.clientHeight;
    this.isFollowing = false;
    this.resize();
    this.tell();
  }

  toEnd() {
    this.top = this.most;
    if (this.isGrowing) this.setFollowing(true, false);
    this.place();
    this.paint();
  }

  setFollowing(follows, moves = true) {
    this.isFollowing = follows && this.isGrowing;
    if (this.isFollowing && moves) this.toEnd();
    this.tell();
  }

  setWrapping(wraps) {
    const line = this.lineAt(Math.floor(this.top / ROW));
    const follows = this.isFollowing;
    this.isWrapping = wraps;
    this.root.classList.toggle("wraps", wraps);
    this.wraps.setAttribute("aria-pressed", String(wraps));
    this.goTo(line, 0);
    if (follows) this.toEnd();
  }

  tell() {
    this.root.classList.toggle("grows", this.isGrowing);
    this.nothing.hidden = this.total > 0;
    this.nothing.textContent = this.root.dataset.missing || (this.isGrowing ? "Nothing has been printed yet." : "It printed nothing.");
    this.follows.hidden = !this.isGrowing;
    this.follows.setAttribute("aria-pressed", String(this.isFollowing));
    const lines = `${this.total.toLocaleString("en")} line${this.total === 1 ? "" : "s"}`;
    if (!this.query) this.says.textContent = lines;
    else if (this.hits.length) this.says.textContent = `${this.hit + 1} of ${this.hits.length}${this.isWhole ? "" : "+"}`;
    else this.says.textContent = this.isWhole ? "no match" : "no match so far";
  }

  // Drawing

  paint() {
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => { this.painting = 0; this.draw(); });
  }

  draw() {
    const first = Math.floor(this.top / ROW);
    const rows = [];
    this.missing = new Set();
    for (let row = first; row < Math.min(this.count, first + Math.ceil(this.view.clientHeight / ROW) + 1); row++) rows.push(this.row(this.lineAt(row)));
    this.layer.replaceChildren(...rows);
    const over = this.isWrapping && this.isFollowing ? Math.max(0, this.layer.scrollHeight - this.view.clientHeight) : 0;
    this.layer.style.transform = `translateY(${this.isWrapping ? -over : first * ROW - this.top}px)`;
    if (this.missing.size) { clearTimeout(this.asking); this.asking = setTimeout(() => { for (const index of this.missing) this.load(index); }, SOON_MS); }
    this.light();
  }

  row(line) {
    const index = Math.floor(line / WINDOW);
    const known = this.windows.get(index);
    const text = known?.[line % WINDOW];
    if (text === undefined) this.missing.add(index);
    const number = line + 1;
    const shown = make("span", { class: "text" });
    show(text ?? "…", shown);
    const one = make("div", { class: "line", id: `L${number}` }, make("a", { class: "no", href: `#L${number}`, "data-no": number, "aria-label": `line ${number}` }));
    if (text?.startsWith("$ ")) {
      const isFolded = this.folds.some((fold) => fold.from === number);
      one.classList.add("is-command");
      one.append(make("button", { class: "fold", type: "button", "aria-expanded": String(!isFolded), "aria-label": "What this command printed" }, isFolded ? "▸" : "▾"));
    }
    one.append(shown);
    if (this.marked && number >= this.marked[0] && number <= this.marked[1]) one.classList.add("is-marked");
    if (number === Number(this.root.dataset.error)) one.classList.add("is-error");
    if (this.hits[this.hit] === line) one.classList.add("is-hit");
    return one;
  }

  // Marks what was searched for, without touching the text.
  light() {
    this.marks.draw(this.total, this.query ? this.hits : [], Number(this.root.dataset.error) - 1);
    highlight(this.layer.querySelectorAll(".text"), this.query);
  }

  // Fetching

  async get(query) {
    const answer = await fetch(`${this.api}?${this.attempt ? `attempt=${this.attempt}&` : ""}${query}`, { cache: "no-store" });
    return answer.ok ? answer.json() : null;
  }

  load(index) {
    if (!this.loading.has(index)) this.loading.set(index, this.fetchWindow(index).finally(() => this.loading.delete(index)));
    return this.loading.get(index);
  }

  async fetchWindow(index) {
    const { attempt, end } = this;
    const body = await this.get(`from_line=${index * WINDOW}&lines=${WINDOW}`).catch(() => null);
    if (!body || attempt !== this.attempt) return;
    this.windows.delete(index);
    this.windows.set(index, body.lines);
    for (const old of this.windows.keys()) if (this.windows.size > KEPT) this.windows.delete(old); else break;
    // The log went on while this was on its way: it is asked for again.
    if (body.size < this.end && this.end > end && body.lines.length < WINDOW) { this.windows.delete(index); this.paint(); return; }
    if (body.size >= this.end) {
      const isLast = body.from_line + body.lines.length >= body.total_lines;
      this.isKnown = isLast || (this.isKnown && body.size === this.end);
      if (isLast) this.isOpen = body.open_line;
      this.end = body.size;
      this.setTotal(body.total_lines);
    }
    this.paint();
  }

  setTotal(total) {
    if (total === this.total) return;
    this.total = total;
    this.resize();
    this.tell();
  }

  // News

  feed({ attempt, offset, end, text }) {
    if (attempt !== this.attempt) {
      if (attempt < this.attempt) return;
      Object.assign(this, { attempt, total: 0, end: 0, isOpen: false, isKnown: true, isGrowing: true, folds: [], hits: [], hit: -1 });
      this.root.dataset.error = "0";
      this.windows.clear();
      this.setFollowing(true);
    }
    if (end <= this.end) return;
    const isNext = this.isKnown && offset === this.end;
    this.end = end;
    if (!isNext || !this.append(text.split("\n"))) { this.isKnown = false; this.resync(); }
  }

  append(lines) {
    const last = lines.length - 1;
    let total = this.total;
    for (const [at, line] of lines.entries()) {
      if (at === last && line === "") break;
      const goesOn = at === 0 && this.isOpen;
      if (!goesOn) total += 1;
      const window = this.windows.get(Math.floor((total - 1) / WINDOW));
      const place = (total - 1) % WINDOW;
      const whole = (goesOn ? (window?.[place] ?? "") : "") + line;
      if (whole.length > LONG || (goesOn && !window)) return false;
      if (window) window[place] = whole;
      else if (place === 0) this.windows.set(Math.floor((total - 1) / WINDOW), [whole]);
    }
    this.isOpen = lines[last] !== "";
    this.setTotal(total);
    this.paint();
    return true;
  }

  // Asks the server for the end as it is now, and not more often than it can be looked at.
  resync() {
    if (this.syncing) return;
    this.syncing = setTimeout(async () => {
      this.syncing = 0;
      const index = Math.floor(Math.max(0, this.total - 1) / WINDOW);
      await this.loading.get(index);
      await this.load(index);
    }, 100);
  }

  // No more will come.
  finish() {
    this.isGrowing = this.isFollowing = false;
    this.tell();
    this.resync();
  }

  // Searching

  async search() {
    this.query = this.field.value;
    const query = this.query;
    this.hits = [];
    this.hit = -1;
    this.isWhole = true;
    const body = query ? await this.get(`q=${encodeURIComponent(query)}`).catch(() => null) : null;
    if (query !== this.query) return;
    if (body) {
      this.hits = body.matches;
      this.isWhole = body.is_complete;
      const here = this.lineAt(Math.floor(this.top / ROW));
      this.hit = Math.max(0, this.hits.findIndex((line) => line >= here)) - 1;
    }
    if (this.hits.length) this.step(1);
    this.tell();
    this.paint();
  }

  step(by) {
    if (this.field.value !== this.query) { clearTimeout(this.typing); this.search(); return; }
    if (!this.hits.length) return;
    this.hit = (this.hit + by + this.hits.length) % this.hits.length;
    this.goTo(this.hits[this.hit]);
  }

  // Lines that are pointed at, and what a command printed

  goToHash() {
    const found = /^#L(\d{1,12})(?:-L(\d{1,12}))?$/.exec(location.hash);
    if (!found) return false;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    this.marked = [Math.min(from, to), Math.max(from, to)];
    this.goTo(this.marked[0] - 1);
    return true;
  }

  onClick(event) {
    const line = Number(event.target.closest(".line")?.id.slice(1));
    if (event.target.closest(".fold")) this.fold(line);
    if (!event.target.closest(".no")) return;
    event.preventDefault();
    const from = event.shiftKey && this.marked ? this.marked[0] : line;
    this.marked = [Math.min(from, line), Math.max(from, line)];
    history.replaceState(null, "", `#L${this.marked[0]}${from === line ? "" : `-L${this.marked[1]}`}`);
    this.paint();
  }

  async fold(line) {
    const before = this.folds.length;
    this.folds = this.folds.filter((fold) => fold.from !== line);
    if (this.folds.length === before) {
      const to = await this.nextCommand(line);
      if (to > line) this.folds = [...this.folds, { from: line, to }].sort((one, other) => one.from - other.from);
    }
    this.resize();
  }

  async nextCommand(line) {
    const body = await this.get(`q=${encodeURIComponent("$ ")}`).catch(() => null);
    for (const match of body?.matches ?? []) {
      if (match < line) continue;
      const index = Math.floor(match / WINDOW);
      if (!this.windows.has(index)) await this.load(index);
      if (this.windows.get(index)?.[match % WINDOW]?.startsWith("$ ")) return match;
    }
    return this.total;
  }
}
