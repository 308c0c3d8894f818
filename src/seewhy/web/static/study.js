// A study as it goes on: its runs are fetched anew when one has begun, ended or failed, its figures when one has ended or failed.
import { GONE, keyPath, post, request, say } from "./base.js";

const box = document.getElementById("study");
const key = keyPath(box.dataset.key);
const stop = document.getElementById("stop");

/** Return how the tables of a part are sorted: the number of the column and its direction, or nothing, a table each. */
function orders(part) {
  return [...part.querySelectorAll("table[data-sortable]")].map((table) => {
    const head = table.querySelector("thead th[aria-sort]");
    return head && [head.cellIndex, head.getAttribute("aria-sort")];
  });
}

/** Sort the tables of a part as `orders` found them before. */
function sortAgain(part, before) {
  part.querySelectorAll("table[data-sortable]").forEach((table, number) => {
    const [column, way] = before[number] ?? [];
    const head = table.querySelectorAll("thead th")[column];
    for (let tries = 0; head && tries < 2 && head.getAttribute("aria-sort") !== way; tries += 1) head.querySelector("button").click();
  });
}

/** Return what fills a part of the page from a path, one fetch at a time; whatever was asked for meanwhile is fetched once more. */
function filler(part, path) {
  let busy = false, again = false;
  return async function fill() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      let answer, text;
      try {
        answer = await request(`${path}/${key}`);
        text = await answer.text();
      } catch { break; }  // what follows the study says so
      const sorted = orders(part);
      const open = [...part.querySelectorAll("details[open] > summary")].map((each) => each.textContent);
      if (answer.ok) part.innerHTML = text;
      else part.textContent = `The study cannot be read (${answer.status}).`;
      part.querySelectorAll("summary").forEach((each) => { each.parentElement.open = open.includes(each.textContent); });
      part.removeAttribute("aria-busy");
      part.dispatchEvent(new Event("part-filled", { bubbles: true }));
      sortAgain(part, sorted);
    }
    busy = false;
  };
}
const fillRuns = filler(box, "/study-live");
const fillFigures = filler(document.getElementById("figures"), "/study-figures");

let source = null, drawn = "";
function follow() {
  if (source || document.hidden) return;
  source = new EventSource(`/api/study-events/${key}`);
  source.onerror = () => {
    const course = document.getElementById("course");
    if (course.textContent !== GONE) say(GONE);
    course.textContent = GONE;
  };
  source.onmessage = (event) => {
    const now = JSON.parse(event.data);
    const failed = now.failed ? `, ${now.failed} failed` : "";
    const active = now.active ? `; ${now.active} at work` : "";
    document.getElementById("course").textContent = `${now.ended} of the ${now.begun} runs begun so far have ended${failed}${active}`;
    document.getElementById("report").hidden = !now.report;
    stop.hidden = !now.active;
    if (!now.active) document.getElementById("stopping").hidden = true;
    fillRuns();
    const wanted = `${now.ended} ${now.failed}`;
    if (wanted !== drawn) fillFigures();
    drawn = wanted;
  };
}
function leave() {
  source?.close();
  source = null;
}
follow();
document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); else follow(); });
addEventListener("pagehide", leave);

stop.addEventListener("click", async () => {
  try {
    await post(`/api/study-stop/${key}`);
    document.getElementById("stopping").hidden = false;
    say("Asked to stop");
  } catch (error) { say(error.message); }
});
