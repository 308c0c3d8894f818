// A study as it goes on: its runs are fetched anew when one has begun, ended or failed, its figures when one has ended or failed.
import { keyPath, post, say } from "./base.js";

const box = document.getElementById("study");
const key = keyPath(box.dataset.key);
const stop = document.getElementById("stop");

/** Return what fills a part of the page from a path, one fetch at a time; whatever was asked for meanwhile is fetched once more. */
function filler(part, path) {
  let busy = false, again = false;
  return async function fill() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      const answer = await fetch(`${path}/${key}`);
      const text = await answer.text();
      const open = [...part.querySelectorAll("details[open] > summary")].map((each) => each.textContent);
      if (answer.ok) part.innerHTML = text;
      else part.textContent = `The study cannot be read (${answer.status}).`;
      part.querySelectorAll("summary").forEach((each) => { each.parentElement.open = open.includes(each.textContent); });
      part.removeAttribute("aria-busy");
      part.dispatchEvent(new Event("part-filled", { bubbles: true }));
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
