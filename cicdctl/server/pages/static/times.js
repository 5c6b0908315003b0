// When a line was printed: since its log began, or by the clock of whoever looks. What they chose is remembered.

const KEY = "cicdctl.times";
const KINDS = [["", "No times"], ["since", "Since the start"], ["clock", "Clock"]];
const two = (number) => String(number).padStart(2, "0");

export class Times {
  // `onChange` is called when somebody chose otherwise.
  constructor(onChange) {
    this.field = document.createElement("select");
    this.field.setAttribute("aria-label", "Times of the lines");
    this.field.append(...KINDS.map(([value, label]) => new Option(label, value)));
    // A browser may keep nothing.
    try { this.field.value = localStorage.getItem(KEY) ?? ""; } catch { this.field.value = ""; }
    if (this.field.selectedIndex < 0) this.field.value = "";
    this.field.addEventListener("change", () => {
      try { localStorage.setItem(KEY, this.field.value); } catch { /* it holds for this page */ }
      onChange();
    });
  }

  get areShown() { return this.field.value !== ""; }

  // `seconds` undefined: not known, or not yet.
  cell(openedAt, seconds) {
    const cell = document.createElement("span");
    cell.className = "at";
    if (seconds === undefined) return cell;
    const at = new Date((openedAt + seconds) * 1000);
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    cell.textContent = this.field.value === "clock" ? clock : since(seconds);
    cell.title = this.field.value === "clock" ? `${at.toISOString()}, after ${since(seconds)}` : at.toISOString();
    return cell;
  }
}

// As pages/log_part.py says it: 0:02.3, 1:00:02.3.
function since(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}
