// Lines of a log as pieces of text with classes: the same rules as pages/ansi.py, and one corpus tests both.
// Colours, weight and links to http(s) only: all else a terminal would obey is removed. Linear in the length of a line.

const CODE = new RegExp(
  "\x1b\\[([0-9;:]*)m|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[PX^_][^\x1b]*(?:\x1b\\\\)?|\x1b\\[[0-?]*[ -/]*[@-~]?" +
    "|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
  "g",
);
// Plain characters only: an address that looks like another one is none here.
const ADDRESS = /https?:\/\/[A-Za-z0-9[][-A-Za-z0-9._~:\/?#[\]@!$&()*+,;=%]{0,2000}/g;
const FLAGS = { 1: "b", 2: "dim", 3: "i", 4: "u", 7: "inv", 9: "s" };
const ENDS = { 22: ["b", "dim"], 23: ["i"], 24: ["u"], 27: ["inv"], 29: ["s"] };
const hex = (value) => Math.min(255, value).toString(16).padStart(2, "0");

/** Return a line, without its newline, as pieces { text, classes, color, back }. */
export function pieces(line) {
  line = line.replace(/[\r\n]+$/, "");
  line = line.slice(line.lastIndexOf("\r") + 1);
  const found = [];
  const style = new Map();
  let at = 0;
  for (const code of line.matchAll(CODE)) {
    add(found, line.slice(at, code.index), style);
    at = code.index + code[0].length;
    if (code[1] !== undefined) obey(style, code[1].split(/[;:]/).map((part) => (part.length < 6 ? Number(part) : 0)));
  }
  add(found, line.slice(at), style);
  return found;
}

function add(found, text, style) {
  if (!text) return;
  const colors = [style.get("f") ?? "", style.get("g") ?? ""];
  const classes = [...style.keys()].filter((name) => name !== "f" && name !== "g");
  const one = { text, classes: "", color: "", back: "" };
  for (const [at, value] of colors.entries()) {
    if (value[0] === "#") one[at ? "back" : "color"] = value;
    else if (value) classes.push(value);
  }
  one.classes = classes.join(" ");
  const last = found.at(-1);
  if (last && last.classes === one.classes && last.color === one.color && last.back === one.back) last.text += text;
  else found.push(one);
}

function obey(style, codes) {
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    const tens = Math.floor(code / 10);
    const kind = tens === 3 || tens === 9 ? "f" : "g";
    if (code === 0) style.clear();
    else if (FLAGS[code]) style.set(FLAGS[code], "");
    else if (ENDS[code]) ENDS[code].forEach((name) => style.delete(name));
    else if (code === 38 || code === 48) at += longColor(style, kind, codes.slice(at + 1));
    else if (code === 39 || code === 49) style.delete(kind);
    else if ((code >= 30 && code <= 47) || (code >= 90 && code <= 97) || (code >= 100 && code <= 107))
      style.set(kind, `${kind}${(code % 10) + (code >= 90 ? 8 : 0)}`);
  }
}

// Reads `5;n` or `2;r;g;b`; returns how many numbers that were.
function longColor(style, kind, rest) {
  if (rest[0] === 5 && rest.length > 1) {
    const number = Math.min(255, rest[1]);
    style.set(kind, number < 16 ? `${kind}${number}` : of256(number));
    return 2;
  }
  if (rest[0] === 2 && rest.length > 3) {
    style.set(kind, "#" + rest.slice(1, 4).map(hex).join(""));
    return 4;
  }
  return rest.length;
}

function of256(number) {
  if (number >= 232) return "#" + hex(8 + 10 * (number - 232)).repeat(3);
  const parts = [Math.floor((number - 16) / 36), Math.floor((number - 16) / 6) % 6, (number - 16) % 6];
  return "#" + parts.map((part) => hex(part ? 55 + 40 * part : 0)).join("");
}

/** Cut a text at the addresses in it: pairs of text and where it leads, "" for nowhere. As pages/ansi.py does. */
export function linked(text) {
  const found = [];
  let at = 0;
  for (const one of text.matchAll(ADDRESS)) {
    const address = trimmed(one[0]);
    if (one.index > at) found.push([text.slice(at, one.index), ""]);
    found.push([address, address]);
    at = one.index + address.length;
  }
  if (at < text.length) found.push([text.slice(at), ""]);
  return found;
}

// What ends a sentence, or a bracket around it, belongs to no address.
function trimmed(address) {
  const ends = ".,;:!?" + (address.includes("(") ? "" : ")") + (address.includes("[") ? "" : "]");
  let end = address.length;
  while (ends.includes(address[end - 1])) end--;
  return address.slice(0, end);
}

function append(element, text) {
  for (const [words, address] of linked(text)) {
    if (!address) { element.append(words); continue; }
    const link = document.createElement("a");
    Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer", textContent: words });
    element.append(link);
  }
}

/** Append the pieces of a line to an element, as text, classes and links only. */
export function show(line, element) {
  for (const piece of pieces(line)) {
    if (!piece.classes && !piece.color && !piece.back) {
      append(element, piece.text);
      continue;
    }
    const span = document.createElement("span");
    span.className = piece.classes;
    append(span, piece.text);
    if (piece.color) span.style.color = piece.color;
    if (piece.back) span.style.backgroundColor = piece.back;
    element.append(span);
  }
}
