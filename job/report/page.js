"use strict";
// Tables sort by a click on a heading, or Enter on it.
for (const table of document.querySelectorAll("table.sort")) {
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
        if (Number.isNaN(m) !== Number.isNaN(n)) return Number.isNaN(m) ? 1 : -1; // what is missing stays last
        const order = Number.isNaN(m) ? x.localeCompare(y) : m - n;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// One run at a time: the one chosen, kept in the address so that it can be shared.
const chooser = document.getElementById("run");
const runs = [...document.querySelectorAll("section.run")];
function show(name) {
  for (const section of runs) section.hidden = section.dataset.run !== name;
  if (chooser) chooser.value = name;
}
if (chooser && runs.length > 1) {
  const fromAddress = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    show(runs.some((s) => s.dataset.run === name) ? name : runs[0].dataset.run);
  };
  chooser.addEventListener("change", () => { history.replaceState(null, "", "#" + encodeURIComponent(chooser.value)); show(chooser.value); });
  addEventListener("hashchange", () => { fromAddress(); chooser.scrollIntoView(); });
  fromAddress();
}

// The tables over time: the slider puts another frame into the cells.
const stops = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"]
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
function shade(share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(place), stops.length - 2);
  return stops[i].map((v, c) => Math.round(v + (place - i) * (stops[i + 1][c] - v)));
}
for (const box of document.querySelectorAll(".heat-box")) {
  const slider = box.querySelector("input[type=range]");
  if (!slider) continue;
  const data = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const cells = [...box.querySelectorAll("td")];
  const label = box.querySelector("output");
  slider.addEventListener("input", () => {
    const frame = data.frames[slider.value];
    label.textContent = "epoch " + frame.epoch.toFixed(1);
    frame.cells.flat().forEach((value, i) => {
      if (value === null) { cells[i].textContent = "–"; cells[i].removeAttribute("style"); return; }
      const share = data.high > data.low ? (value - data.low) / (data.high - data.low) : 0.5;
      cells[i].textContent = value.toFixed(2);
      cells[i].style.background = `rgb(${shade(share).join()})`;
      cells[i].style.color = share > 0.52 ? "#000" : "#fff";
    });
  });
}
