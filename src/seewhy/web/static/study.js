// A study as it goes on: its parts are fetched anew when a run of it has begun, ended or failed.
import { keyPath, post, say } from "./base.js";

const box = document.getElementById("study");
const key = keyPath(box.dataset.key);
const stop = document.getElementById("stop");
let drawing = false, again = false;

async function draw() {
  if (drawing) { again = true; return; }
  drawing = true;
  do {
    again = false;
    const answer = await fetch(`/study-live/${key}`);
    if (answer.ok) box.innerHTML = await answer.text();
    else box.textContent = `The study cannot be read (${answer.status}).`;
    box.removeAttribute("aria-busy");
  } while (again);
  drawing = false;
}

let source = null;
function follow() {
  if (source || document.hidden) return;
  source = new EventSource(`/api/study-events/${key}`);
  source.onmessage = (event) => {
    const now = JSON.parse(event.data);
    const failed = now.failed ? `, ${now.failed} failed` : "";
    document.getElementById("course").textContent = `${now.ended} of ${now.begun} runs that have begun have ended${failed}; ${now.active} at work`;
    stop.hidden = !now.active;
    if (!now.active) document.getElementById("stopping").hidden = true;
    draw();
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
