// Keeps a page true. One EventSource per page; on news the page is fetched again and what changed is swapped.
// What arrives is parsed by the browser's own parser and imported as nodes: no text of anybody's becomes markup here.

const KINDS = [
  "run_created", "run_queued", "run_blocked", "run_starting", "run_started", "run_finishing", "run_finished", "run_changed",
  "run_taken_over", "cancel_requested", "stage_started", "stage_finished", "attempt_started", "attempt_finished",
  "queue_paused", "queue_resumed", "failure_due", "failure_settled", "escalated", "artifacts_made_again", "culprit",
  "culprit_sought", "culprit_unknown",
];
const SOON_MS = 40;
const IDLE_MS = 30000;
const HIDDEN_MS = 4000;
const AGAIN_MS = 1500;

const listeners = new Map();
const keys = new Map();
const afterSwap = new Set();
let source = null;
let lastId = "";
let timer = 0;
let isFetching = false;
let isStale = false;
let tookMs = 0;
let lastSwap = 0;

export const live = {
  // Calls `then(data, event)` for each event of a kind; `data` is its JSON. Also for `log`.
  on(kind, then) {
    if (!listeners.has(kind)) listeners.set(kind, new Set());
    listeners.get(kind).add(then);
    if (source && !KINDS.includes(kind)) source.addEventListener(kind, take);
  },
  // Calls `then()` after parts of the page were swapped.
  onSwap(then) { afterSwap.add(then); },
  // Calls `then(event)` for a key that is pressed outside of fields; comes before what this file does with it.
  onKey(key, then) { keys.set(key, then); },
  // Listens to another address from now on, for example with the log of another stage.
  open(address) { open(address); },
  // Fetches the page again, soon.
  refresh() { plan(SOON_MS); },
};

function open(address) {
  if (source) source.close();
  const opened = new EventSource(address);
  source = opened;
  lastId = "";
  for (const kind of new Set([...KINDS, ...listeners.keys()])) source.addEventListener(kind, take);
  source.addEventListener("open", () => say(""));
  source.addEventListener("error", () => {
    say("not live: reconnecting");
    // A browser tries again when nobody answers, but not when a proxy says that nobody does.
    if (opened.readyState !== EventSource.CLOSED) return;
    setTimeout(() => { if (source === opened) open(resumed(address, lastId)); }, AGAIN_MS);
  });
}

// The address that goes on after an event: `<event>` or `<event>-<byte of the log>`.
function resumed(address, id) {
  const [event, offset] = id.split("-");
  const url = new URL(address, location.href);
  if (event) url.searchParams.set("after", event);
  if (offset && url.searchParams.has("stage")) url.searchParams.set("offset", offset);
  return url.pathname + url.search;
}

function take(event) {
  let data = null;
  lastId = event.lastEventId || lastId;
  try { data = JSON.parse(event.data); } catch { return; }
  for (const then of listeners.get(event.type) ?? []) then(data, event);
  if (KINDS.includes(event.type)) plan(SOON_MS);
}

function say(text) {
  const place = document.getElementById("link");
  if (place && place.textContent !== text) place.textContent = text;
}

// At once for the first of many events; then so seldom that fetching takes a fifth of the time at most.
function plan(soonMs) {
  if (isFetching) { isStale = true; return; }
  if (timer) return;
  const rest = lastSwap + (document.hidden ? HIDDEN_MS : 4 * tookMs) - performance.now();
  timer = setTimeout(fetchAgain, Math.max(soonMs, rest));
}

async function fetchAgain() {
  timer = 0;
  isFetching = true;
  isStale = false;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) { location.reload(); return; }
    if (answer.ok) {
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (source?.readyState === EventSource.OPEN) say("");
    }
  } catch {
    say("not live: no answer");
  } finally {
    isFetching = false;
    lastSwap = performance.now();
    tookMs = lastSwap - began;
    if (isStale) plan(SOON_MS);
  }
}

function swap(fresh) {
  if (document.title !== fresh.title) document.title = fresh.title;
  const icon = document.getElementById("favicon");
  const wanted = fresh.getElementById("favicon");
  if (icon && wanted && icon.getAttribute("href") !== wanted.getAttribute("href")) icon.replaceWith(document.importNode(wanted, true));
  const chosen = document.querySelector(".is-chosen")?.id;
  const opened = [...document.querySelectorAll("details[id][open]")].map((one) => one.id);
  for (const id of ["nav", "figures", "notices", "main"]) {
    const old = document.getElementById(id);
    const now = fresh.getElementById(id);
    if (old && now) sync(old, now, opened);
  }
  if (chosen) document.getElementById(chosen)?.classList.add("is-chosen");
  for (const then of afterSwap) then();
}

// Makes `old` like `now`: children of what is keyed are matched by id, everything else is replaced whole.
function sync(old, now, opened) {
  for (const id of opened) now.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  if (old.isEqualNode(now) || old.hasAttribute("data-keep") || isBusy(old)) return;
  if (!old.hasAttribute("data-keyed") || old.nodeName !== now.nodeName) {
    replace(old, document.importNode(now, true));
    return;
  }
  for (const { name, value } of [...now.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  const known = new Map([...old.children].map((child, at) => [child.id || `#${at}`, child]));
  let place = old.firstElementChild;
  for (const [at, wanted] of [...now.children].entries()) {
    const key = wanted.id || `#${at}`;
    const child = known.get(key);
    known.delete(key);
    if (!child) { old.insertBefore(document.importNode(wanted, true), place); continue; }
    if (child === place) place = place.nextElementSibling; else old.insertBefore(child, place);
    sync(child, wanted, []);
  }
  for (const child of known.values()) if (!child.hasAttribute("data-keep")) child.remove();
}

// Whoever goes through the page with the tab key stays where they are.
function replace(old, now) {
  const ways = "a, button, summary";
  const at = old.contains(document.activeElement) ? [...old.querySelectorAll(ways)].indexOf(document.activeElement) : -1;
  old.replaceWith(now);
  if (at >= 0) now.querySelectorAll(ways)[at]?.focus({ preventScroll: true });
}

// What somebody is writing into is not taken away; it is swapped with the next news.
function isBusy(part) {
  const active = document.activeElement;
  return !part.hasAttribute("data-keyed") && active !== null && part.contains(active) && active.matches("input, select, textarea");
}

// Ages and durations go on by themselves.
function tick() {
  const now = Date.now() / 1000;
  for (const one of document.querySelectorAll("time[data-age]")) set(one, ago(now - Number(one.dataset.age)));
  for (const one of document.querySelectorAll("[data-since]")) set(one, lasted(now - Number(one.dataset.since)));
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function ago(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
}

function span(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, "0")}m`;
}

// Keys: j and k choose a row, enter opens it, f goes to the next that failed, / to the filter.
const moves = {
  j: () => choose(1, () => true),
  k: () => choose(-1, () => true),
  f: () => choose(1, (row) => row.querySelector(".status.bad") !== null),
  Enter: () => document.querySelector(".is-chosen a[data-open]")?.click(),
  "/": () => { const field = document.querySelector("input[data-search]"); field?.focus(); field?.select(); },
  Escape: () => document.querySelector(".is-chosen")?.classList.remove("is-chosen"),
};

function choose(step, fits) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  const before = rows.findIndex((row) => row.classList.contains("is-chosen"));
  const start = before < 0 && step < 0 ? rows.length : before;
  for (let at = start + step; at >= 0 && at < rows.length; at += step) {
    if (!fits(rows[at])) continue;
    rows[before]?.classList.remove("is-chosen");
    rows[at].classList.add("is-chosen");
    rows[at].scrollIntoView({ block: "nearest" });
    return;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === "Enter" && target.closest("a, button, summary")) return;
  const then = keys.get(event.key) ?? moves[event.key];
  if (!then) return;
  event.preventDefault();
  then(event);
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) plan(SOON_MS); });
setInterval(tick, 1000);
// Not everything is an event of a run: what is paused, how full the disk is.
setInterval(() => { if (!document.hidden) plan(SOON_MS); }, IDLE_MS);
// Not before all modules of the page are there: what is told earlier would be told to nobody.
addEventListener("load", () => { if (document.body.dataset.live && !source) open(document.body.dataset.live); });
