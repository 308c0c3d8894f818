// Labels that are probably wrong: runs that are started, followed by a stream, and stopped; they go on without the page.
import { captioned, post, say } from "./base.js";

const byId = (id) => document.getElementById(id);
const [box, start, stop, course, bar] = ["labels", "labels-start", "labels-stop", "labels-course", "labels-bar"].map(byId);
let source = "", stream = null;

const asked = () => ({ source, folds: byId("folds").value });

function show(now) {
  if (now.error) { course.textContent = now.error; return; }
  if (now.suspicious) { showSuspicious(now); return; }
  byId("labels-command").textContent = now.command;
  const active = now.state === "training";
  start.hidden = active || now.state === "ended";
  start.textContent = now.state === "stopped" ? "Go on" : "Start";
  stop.hidden = bar.hidden = !active;
  byId("folds").disabled = active;
  bar.value = now.share;
  const ended = `${now.ended} of ${now.folds} runs have ended`;
  course.textContent = { new: "", training: ended, stopped: `${ended}; ${now.line || "stopped"}`, ended: "Reading the images…" }[now.state];
}

function showSuspicious(now) {
  const more = now.all > now.suspicious.length ? `, of which the likeliest ${now.suspicious.length} are shown` : "";
  course.textContent = now.all ? `${now.all.toLocaleString()} probably wrong${more}; all stand in ${now.listed}` : "No label is suspicious";
  byId("suspicious").replaceChildren(...now.suspicious.map((each) => captioned(each.image, each.name, `label: ${each.label}`, `looks like ${each.suggested}`)));
  say(course.textContent);
}

function follow() {
  stream?.close();
  byId("suspicious").replaceChildren();
  const query = new URLSearchParams(asked());
  stream = new EventSource(`/api/labels?${query}`);
  stream.onmessage = (event) => {
    const now = JSON.parse(event.data);
    show(now);
    if (now.error || now.suspicious || now.state === "new" || now.state === "stopped") leave();
  };
  stream.onerror = async () => {  // a refusal is no stream: ask again for its words
    leave();
    try { course.textContent = (await (await fetch(`/api/labels?${query}`)).json()).error; } catch { course.textContent = "The server does not answer."; }
  };
}
function leave() {
  stream?.close();
  stream = null;
}
addEventListener("pagehide", leave);

/** Show what is known of the labels of some data, and offer to look for wrong ones. */
export function offerLabels(data) {
  source = data;
  box.hidden = false;
  follow();
}
export function forgetLabels() {
  leave();
  box.hidden = true;
}

byId("folds").addEventListener("change", follow);
start.addEventListener("click", async () => {
  start.disabled = true;
  try {
    await post("/api/labels-start", JSON.stringify(asked()));
    follow();
  } catch (error) { course.textContent = error.message; }
  start.disabled = false;
});
stop.addEventListener("click", async () => {
  try {
    await post("/api/labels-stop", JSON.stringify(asked()));
    course.textContent = "Asked to stop; the runs save first.";
    say(course.textContent);
  } catch (error) { course.textContent = error.message; }
});
