// The page of a run and of a stage: the log, kept true by the one stream of the page, and what a click may do.
import { live } from "/static/live.js";
import { LogView } from "/static/log.js";

const GROWS_MS = 2000;
const LEGIBLE = 0.7; // of the graph's own size
let view = null;

function openLog() {
  const places = [...document.querySelectorAll(".log[data-api]")];
  const fresh = places.find((place) => place !== view?.root);
  if (fresh && (view === null || places.length > 1)) {
    const isFirst = view === null;
    view?.close();
    view = new LogView(fresh);
    // Who reads a log keeps it, whatever the run goes on to.
    for (const kind of ["pointerdown", "wheel", "keydown"]) fresh.addEventListener(kind, pin, { once: true, passive: true });
    if (!isFirst && fresh.dataset.live) live.open(fresh.dataset.live);
  }
}

function pin() {
  const address = new URL(location.href);
  if (!address.pathname.includes("/s/") && !address.searchParams.has("stage")) {
    address.searchParams.set("stage", view.root.dataset.slug);
    history.replaceState(null, "", address);
  }
}

// A graph that does not fit can be seen as a whole, too.
function offerWhole() {
  const place = document.getElementById("graph-tools");
  const canvas = document.getElementById("canvas");
  if (!place || place.children.length || (canvas.scrollWidth <= canvas.clientWidth && canvas.scrollHeight <= canvas.clientHeight)) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = "Whole graph";
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const isWhole = document.body.classList.toggle("whole-graph");
    button.setAttribute("aria-pressed", String(isWhole));
    if (!isWhole) bringIntoSight();
  });
  place.append(button);
  const scale = Math.min(canvas.clientWidth / canvas.scrollWidth, canvas.clientHeight / canvas.scrollHeight);
  if (scale > LEGIBLE) button.click();
}

// In what does not fit, the stage that is shown, is wrong or goes on comes into sight.
function bringIntoSight() {
  const strip = document.getElementById("strip");
  const here = strip?.querySelector("[aria-current]");
  if (here) strip.scrollLeft = here.offsetLeft + here.offsetWidth / 2 - strip.clientWidth / 2;
  const canvas = document.getElementById("canvas");
  const cell = canvas?.querySelector(".cell.bad") ?? canvas?.querySelector(".cell.live") ?? canvas?.querySelector(".cell");
  if (!cell) return;
  const [place, frame] = [cell.getBoundingClientRect(), canvas.getBoundingClientRect()];
  canvas.scrollLeft += place.left + place.width / 2 - frame.left - frame.width / 2;
  canvas.scrollTop += place.top + place.height / 2 - frame.top - frame.height / 2;
}

// Colours that no class has; a policy forbids them in the page itself.
function color() {
  for (const one of document.querySelectorAll("[data-color]")) one.style.color = one.dataset.color;
  for (const one of document.querySelectorAll("[data-back]")) one.style.backgroundColor = one.dataset.back;
}

async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    element.classList.add("is-copied");
    setTimeout(() => element.classList.remove("is-copied"), 1200);
  } catch {
    getSelection().selectAllChildren(element);
  }
}

document.addEventListener("click", (event) => {
  const place = event.target.closest("[data-copy], a[data-line]");
  if (place?.matches("[data-copy]")) copy(place);
  else if (place && view && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    history.replaceState(null, "", `#L${place.dataset.line}`);
    view.goToHash();
    view.view.focus({ preventScroll: true });
    view.root.scrollIntoView({ block: "nearest" });
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("[data-copy]")) copy(event.target);
});

live.on("log", (data) => { if (data.stage === view?.stage) view.feed(data); });
live.on("stage_finished", (data) => { if (data.stage === view?.stage) view.finish(); });
for (const kind of ["run_started", "run_finished"]) live.on(kind, () => live.refresh());
live.onSwap(() => { openLog(); color(); offerWhole(); });
live.onKey("n", () => view?.step(1));
live.onKey("N", () => view?.step(-1));
if (document.querySelector(".log.is-page")) live.onKey("f", () => view?.setFollowing(!view.isFollowing));
setInterval(() => { if (!document.hidden && document.querySelector(".fall .fill-live")) live.refresh(); }, GROWS_MS);
color();
bringIntoSight();
offerWhole();
openLog();
