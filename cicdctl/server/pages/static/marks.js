// What one looks for: in the lines, and beside the scrollbar where in the whole log it is.
const SVG = "http://www.w3.org/2000/svg";
const PARTS = 250; // of the height; what lies closer is one mark

export class Marks {
  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "marks");
    this.element.setAttribute("aria-hidden", "true");
    this.shown = "";
  }

  // `lines` and `error` count from 0; an error below 0 is none.
  draw(total, lines, error) {
    const places = new Set(lines.map((line) => Math.floor((line / Math.max(1, total)) * PARTS)));
    const marks = [...places].map((place) => this.mark(place, ""));
    if (error >= 0 && total) marks.push(this.mark(Math.floor((error / total) * PARTS), "at-error"));
    const wanted = marks.map((mark) => mark.getAttribute("y") + mark.getAttribute("class")).join();
    if (wanted !== this.shown) this.element.replaceChildren(...marks);
    this.shown = wanted;
  }

  mark(place, kind) {
    const one = document.createElementNS(SVG, "rect");
    one.setAttribute("y", `${(place / PARTS) * 100}%`);
    one.setAttribute("class", kind);
    return one;
  }
}

const MOST = 1000; // marks in the lines in sight

/** Mark a text in elements without touching what they hold; an empty one marks nothing. */
export function highlight(elements, text) {
  if (!CSS.highlights) return;
  const ranges = [];
  for (const element of text ? elements : []) {
    const all = element.textContent;
    for (let at = all.indexOf(text); at >= 0 && ranges.length < MOST; at = all.indexOf(text, at + text.length)) {
      const range = new Range();
      range.setStart(...spot(element, at));
      range.setEnd(...spot(element, at + text.length));
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function spot(element, at) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  while (node && at > node.length) { at -= node.length; node = walker.nextNode(); }
  return [node ?? element, node ? at : 0];
}
