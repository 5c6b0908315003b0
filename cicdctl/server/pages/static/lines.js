// The lines of a log as far as they are known: fetched in windows, those that come are appended.

const WINDOW = 200;
const KEPT = 30; // windows
const LONG = 4000; // the server counts a line of more than 16 KB as several
const COMMAND = "$ ";

const windowOf = (line) => Math.floor(line / WINDOW);

export class LogLines {
  // `onChange(isLonger)` is called when a line looks otherwise, or there are more of them.
  constructor(facts, onChange) {
    this.onChange = onChange;
    this.api = facts.api;
    this.attempt = Number(facts.attempt);
    this.total = Number(facts.total);
    this.end = Number(facts.size); // the byte up to which the lines are known
    this.isOpen = "open" in facts; // whether the last line goes on
    this.isKnown = true; // whether that is known
    this.openedAt = null; // of the log, in Unix seconds
    this.windows = new Map(); // of { lines, times }: seconds, null where nobody noted them
    this.loading = new Map();
  }

  // Undefined while it is not known.
  text(line) { return this.windows.get(windowOf(line))?.lines[line % WINDOW]; }

  time(line) { return this.windows.get(windowOf(line))?.times?.[line % WINDOW]; }

  hasNoTimes(line) { return this.windows.get(windowOf(line))?.times === null; }

  // Fetching

  async get(query) {
    const answer = await fetch(`${this.api}?${this.attempt ? `attempt=${this.attempt}&` : ""}${query}`, { cache: "no-store" }).catch(() => null);
    return answer?.ok ? answer.json().catch(() => null) : null;
  }

  // Asks for lines, each window once.
  load(...lines) {
    const asked = [...new Set(lines.map(windowOf))].map((index) => {
      if (!this.loading.has(index)) this.loading.set(index, this.fetchWindow(index).finally(() => this.loading.delete(index)));
      return this.loading.get(index);
    });
    return Promise.all(asked);
  }

  async fetchWindow(index) {
    const { attempt, end } = this;
    const body = await this.get(`from_line=${index * WINDOW}&lines=${WINDOW}`);
    if (!body || attempt !== this.attempt) return;
    this.openedAt = body.opened_at;
    const known = this.windows.get(index);
    this.windows.delete(index);
    // The log went on while this was on its way: what came is known here, or it is asked for again.
    if (body.size < this.end && this.end > end && body.lines.length < WINDOW) {
      if (known && this.isKnown) this.windows.set(index, { lines: known.lines, times: body.times });
      this.onChange(false);
      return;
    }
    this.windows.set(index, { lines: body.lines, times: body.times });
    for (const old of this.windows.keys()) if (this.windows.size > KEPT) this.windows.delete(old); else break;
    if (body.size >= this.end) {
      const isLast = body.from_line + body.lines.length >= body.total_lines;
      this.isKnown = isLast || (this.isKnown && body.size === this.end);
      if (isLast) this.isOpen = body.open_line;
      this.end = body.size;
      this.setTotal(body.total_lines);
    }
    this.onChange(false);
  }

  setTotal(total) {
    if (total === this.total) return;
    this.total = total;
    this.onChange(true);
  }

  // News

  // Begins with another attempt.
  restart(attempt) {
    Object.assign(this, { attempt, total: 0, end: 0, isOpen: false, isKnown: true, openedAt: null });
    this.windows.clear();
  }

  feed({ offset, end, text }) {
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
      const window = this.windows.get(windowOf(total - 1));
      const place = (total - 1) % WINDOW;
      const whole = (goesOn ? (window?.lines[place] ?? "") : "") + line;
      if (whole.length > LONG || (goesOn && !window)) return false;
      if (window) window.lines[place] = whole;
      else if (place === 0) this.windows.set(windowOf(total - 1), { lines: [whole], times: [] });
    }
    this.isOpen = lines[last] !== "";
    this.setTotal(total);
    this.onChange(false);
    return true;
  }

  // Asks the server for the end as it is now, and not more often than it can be looked at.
  resync() {
    if (this.syncing) return;
    this.syncing = setTimeout(async () => {
      this.syncing = 0;
      const last = Math.max(0, this.total - 1);
      await this.loading.get(windowOf(last));
      await this.load(last);
    }, 100);
  }

  // Searching

  // Returns { matches, is_complete }, or null.
  find(text) { return this.get(`q=${encodeURIComponent(text)}`); }

  isCommand(line) { return this.text(line)?.startsWith(COMMAND) ?? false; }

  // Returns the first line from one on that is a command, or how many lines there are.
  async nextCommand(from) {
    const found = await this.find(COMMAND);
    for (const match of found?.matches ?? []) {
      if (match < from) continue;
      if (this.text(match) === undefined) await this.load(match);
      if (this.isCommand(match)) return match;
    }
    return this.total;
  }
}
