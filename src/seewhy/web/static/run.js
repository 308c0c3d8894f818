// One run as it goes on: figures by server-sent events, curves and findings as parts of the page that are fetched when they have changed.
import { GONE, duration, keyPath, make, percent, post, request, say } from "./base.js";

const box = document.getElementById("run");
const key = keyPath(box.dataset.key);
const live = document.getElementById("live");
const stop = document.getElementById("stop");
const goOn = document.getElementById("go-on");
const told = document.getElementById("told");
const DRAW_SECONDS = 2;

if ("soon" in box.dataset) setTimeout(() => location.reload(), 1000 * DRAW_SECONDS);  // its report is being drawn

const plain = (value) => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString() : Number(value.toPrecision(4)).toString();

function tiles(now) {
  const found = [];
  if (now.members) found.push(["Members", `${now.members[0]} of ${now.members[1]}`]);
  if (now.epochs) found.push(["Epoch", `${Math.min(now.epoch || 1, now.epochs)} of ${now.epochs}`]);
  if (now.total) found.push(["Step", `${now.step.toLocaleString()} of ${now.total.toLocaleString()}`]);
  found.push(...now.metrics);
  if (now.images_per_second !== null) found.push(["Images/s", plain(now.images_per_second)]);
  if (now.seconds_left !== null) found.push(["Time left", duration(now.seconds_left)]);
  return found;
}

let drawn = "", drawing = false, lastState = "", lastFindings = null, again = null;

async function draw(now) {
  const wanted = JSON.stringify(now.drawn);
  if (drawing || wanted === drawn) return;
  drawing = true;
  drawn = wanted;
  try {
    const answer = await request(`/live/${key}`);
    if (answer.ok) {
      const open = [...live.querySelectorAll("details[open]")].map((each) => each.id);
      const focused = live.contains(document.activeElement);
      if (!focused) {
        live.innerHTML = await answer.text();
        if (open.length) live.querySelectorAll("details").forEach((each) => { each.open = open.includes(each.id); });
      }
    }
  } catch { drawn = ""; /* drawn when the server answers again, as the stream tells */ } finally {
    setTimeout(() => { drawing = false; }, 1000 * DRAW_SECONDS);
  }
}

function show(now) {
  const state = document.getElementById("state");
  state.textContent = now.state;
  state.className = `state ${now.state}`;
  const bar = document.getElementById("bar");
  bar.value = now.state === "ended" ? 1 : now.members ? now.members[0] / now.members[1] : now.total ? now.step / now.total : 0;
  document.getElementById("tiles").replaceChildren(...tiles(now).map(([name, value]) =>
    make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, value))));
  const active = now.state === "training" || now.state === "silent";
  if (stop) stop.hidden = !active;
  if (goOn) goOn.hidden = now.state !== "stopped" && now.state !== "silent";
  if (lastState && now.state !== lastState) told.textContent = "";
  if (lastState && now.state !== lastState) {
    say(`The run is ${now.state}`);
    if (now.state === "ended") setTimeout(() => location.reload(), 1500);
  }
  if (lastFindings !== null && now.findings > lastFindings) say("There is a new finding");
  lastState = now.state;
  lastFindings = now.findings;
  document.title = active && now.total ? `${percent(now.step / now.total, 0)} · ${document.title.replace(/^\d+% · /, "")}` : document.title.replace(/^\d+% · /, "");
}

let source = null;
function follow() {
  if (source || document.hidden || lastState === "ended") return;
  source = new EventSource(`/api/events/${key}`);
  source.onerror = () => {
    const state = document.getElementById("state");
    if (told.textContent !== GONE) say(GONE);
    state.textContent = "not known";
    state.className = "state";
    told.textContent = GONE;
  };
  source.onmessage = (event) => {
    if (told.textContent === GONE) told.textContent = "";
    const now = JSON.parse(event.data);
    show(now);
    draw(now);
    clearTimeout(again);
    again = setTimeout(() => draw(now), 1000 * DRAW_SECONDS + 100);  // what came while another part was drawn
    if (now.state === "ended") leave();
  };
}
function leave() {
  source?.close();
  source = null;
}

const first = JSON.parse(box.dataset.progress);
drawn = JSON.stringify(first.drawn);
show(first);
follow();
document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); else follow(); });
addEventListener("pagehide", leave);

async function act(button, path, done) {
  button.disabled = true;
  try {
    await post(`${path}/${key}`);
    told.textContent = done;
  } catch (error) {
    told.textContent = error.message;
  }
  button.disabled = false;
}

stop?.addEventListener("click", () => act(stop, "/api/stop", "Asked to stop; it saves first."));

goOn?.addEventListener("click", async () => {
  await act(goOn, "/api/go-on", "It goes on; this takes some seconds.");
  const before = lastState;
  while (lastState === before) {
    await new Promise((done) => { setTimeout(done, 1000); });
    let now;
    try { now = await (await request(`/api/started/${key}`)).json(); } catch (error) { told.textContent = error.message; return; }
    if (now.code !== null) {  // it has ended, or was not begun
      if (now.code && lastState === before) told.textContent = now.log.split("\n").pop();
      return;
    }
  }
});
