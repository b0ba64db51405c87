"use strict";
// A click on a heading, or Enter on it, sorts the table by its column.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.classList.contains("text"));
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const number = (text) => (text === "" || text === "–" ? NaN : Number(text.replace("−", "-").split(" ")[0]));
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const [m, n] = [number(x), number(y)];
        if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1; // missing values stay last
        const order = Number.isNaN(m) ? x.localeCompare(y) : m - n;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// The slider of a table over time puts another frame into its cells.
const stops = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"]
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
function shade(share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(place), stops.length - 2);
  return stops[i].map((v, c) => Math.round(v + (place - i) * (stops[i + 1][c] - v)));
}
function addSlider(box) {
  const slider = box.querySelector("input[type=range]");
  if (!slider) return;
  const data = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const cells = [...box.querySelectorAll("td")];
  const show = () => {
    const frame = data.frames[slider.value];
    const when = "epoch " + frame.epoch.toFixed(1);
    box.querySelector("output").textContent = when;
    slider.setAttribute("aria-valuetext", when);
    frame.cells.flat().forEach((value, i) => {
      if (value === null) { cells[i].textContent = "–"; cells[i].removeAttribute("style"); return; }
      const share = data.high > data.low ? (value - data.low) / (data.high - data.low) : 0.5;
      cells[i].textContent = value.toFixed(2);
      cells[i].style.background = `rgb(${shade(share).join()})`;
      cells[i].style.color = share > 0.465 ? "#000" : "#fff";
    });
  };
  slider.addEventListener("input", show);
  show();
}

function activate(part) {
  part.querySelectorAll("table.sort").forEach(makeSortable);
  part.querySelectorAll(".heat-box").forEach(addSlider);
}
activate(document);

// The page shows one run at a time: the chosen one, which is part of the address.
const chooser = document.getElementById("run");
const runs = [...document.querySelectorAll("section.run")];
const first = runs.find((s) => !s.hidden);
function show(name) {
  for (const section of runs) section.hidden = section.dataset.run !== name;
  chooser.value = name;
}
if (chooser) {
  const fromAddress = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const known = runs.some((s) => s.dataset.run === name);
    show(known ? name : first.dataset.run);
    return known;
  };
  chooser.addEventListener("change", () => { history.replaceState(null, "", "#" + encodeURIComponent(chooser.value)); show(chooser.value); });
  addEventListener("hashchange", () => { if (fromAddress()) chooser.scrollIntoView(); });
  fromAddress();
}

// The page of a run in progress refreshes itself, and keeps what its reader has moved or opened. Without an answer it keeps
// the last state and says so.
const every = Number(document.querySelector("main").dataset.refresh);
async function refresh() {
  if (document.hidden) return;
  const old = document.querySelector("main");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(every * 1000) });
    if (!answer.ok) throw new Error(answer.status);
    const now = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const opened = [...old.querySelectorAll("details")].map((d) => d.open);
    now.querySelectorAll("details").forEach((d, i) => { d.open = opened[i] ?? d.open; });
    const before = old.querySelector("input[type=range]"), slider = now.querySelector("input[type=range]");
    if (before && slider && before.value !== before.max) slider.value = before.value;
    activate(now);
    old.replaceWith(now);
  } catch {
    const silent = document.getElementById("silent");
    silent.hidden = false;
    silent.textContent ||= `No answer since ${new Date().toLocaleTimeString()}: the run has ended or was stopped, or it is out of reach. This is the last that was heard of it.`;
  }
}
if (every) setInterval(refresh, every * 1000);
