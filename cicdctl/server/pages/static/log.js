// A log of any length as somebody sees it: only the lines in sight are in the page.
import { show } from "/static/ansi.js";
import { LogLines } from "/static/lines.js";
import { Marks, highlight } from "/static/marks.js";
import { Times } from "/static/times.js";

const ROW = 20;
const END_PX = 5;
const MOST_PX = 15e6; // browsers end between 17 and 33 million; above it the scrollbar is scaled
const ENDS_ARE_TOLD = "onscrollend" in window;
const SOON_MS = 25;
const TIMES_MS = 1000; // lines that come have no times; those are asked for afterwards

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
    this.stage = facts.stage;
    this.lines = new LogLines(facts, (isLonger) => { if (isLonger) { this.resize(); this.tell(); } this.paint(); });
    this.times = new Times(() => this.paint());
    this.isGrowing = "growing" in facts;
    this.isFollowing = this.isGrowing;
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
    clearTimeout(this.timing);
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
        button("Start", "First line", () => { this.setFollowing(false); this.goTo(0, 0); }), button("End", "Last line", () => this.toEnd()), this.times.field, this.wraps, this.follows));
    this.layer = make("div", { class: "layer" });
    this.rows = make("div", { class: "rows" }, this.layer);
    this.view = make("div", { class: "view", tabindex: "0", role: "region", "aria-label": `Log of ${this.stage}` }, this.rows);
    this.nothing = make("p", { class: "empty soft" });
    this.marks = new Marks();
    this.root.replaceChildren(tools, make("div", { class: "pane" }, this.view, this.nothing, this.marks.element));
    this.view.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.view.addEventListener("scrollend", () => { if (this.isScaled) this.place(); });
    this.layer.addEventListener("click", (event) => this.onClick(event));
    this.field.addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.search(), 200); });
    this.field.addEventListener("keydown", (event) => { if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1); });
    this.onHash = () => this.goToHash();
    addEventListener("hashchange", this.onHash);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.view);
  }

  // Where what is

  get total() { return this.lines.total; }
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
    // Not within a movement: a browser that is slow to draw would end it there.
    if (this.isScaled && !ENDS_ARE_TOLD) { clearTimeout(this.resting); this.resting = setTimeout(() => this.place(), 500); }
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
    [this.missing, this.untimed] = [[], []];
    for (let row = first; row < Math.min(this.count, first + Math.ceil(this.view.clientHeight / ROW) + 1); row++) rows.push(this.row(this.lineAt(row)));
    this.layer.replaceChildren(...rows);
    const over = this.isWrapping && this.isFollowing ? Math.max(0, this.layer.scrollHeight - this.view.clientHeight) : 0;
    this.layer.style.transform = `translateY(${this.isWrapping ? -over : first * ROW - this.top}px)`;
    if (this.missing.length) { clearTimeout(this.asking); this.asking = setTimeout(() => this.lines.load(...this.missing), SOON_MS); }
    if (this.untimed.length) this.timing ??= setTimeout(() => { this.timing = null; this.lines.load(...this.untimed); }, TIMES_MS);
    this.light();
  }

  row(line) {
    const text = this.lines.text(line);
    if (text === undefined) this.missing.push(line);
    const number = line + 1;
    const shown = make("span", { class: "text" });
    show(text ?? "…", shown);
    const one = make("div", { class: "line", id: `L${number}` }, make("a", { class: "no", href: `#L${number}`, "data-no": number, "aria-label": `line ${number}` }));
    if (this.times.areShown) {
      const seconds = this.lines.time(line);
      if (text !== undefined && seconds === undefined && !this.lines.hasNoTimes(line)) this.untimed.push(line);
      one.append(this.times.cell(this.lines.openedAt, seconds));
    }
    if (this.lines.isCommand(line)) {
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

  // News

  feed(news) {
    if (news.attempt < this.lines.attempt) return;
    if (news.attempt > this.lines.attempt) {
      Object.assign(this, { isGrowing: true, folds: [], hits: [], hit: -1 });
      this.root.dataset.error = "0";
      this.lines.restart(news.attempt);
      this.setFollowing(true);
    }
    this.lines.feed(news);
  }

  // No more will come.
  finish() {
    this.isGrowing = this.isFollowing = false;
    this.tell();
    this.lines.resync();
  }

  // Searching

  async search() {
    this.query = this.field.value;
    const query = this.query;
    this.hits = [];
    this.hit = -1;
    this.isWhole = true;
    const body = query ? await this.lines.find(query) : null;
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
      const to = await this.lines.nextCommand(line);
      if (to > line) this.folds = [...this.folds, { from: line, to }].sort((one, other) => one.from - other.from);
    }
    this.resize();
  }
}
