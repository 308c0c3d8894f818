// Checking data: a stream tells how many images are read, and at its end what was found.
import { captioned, make, say } from "./base.js";
import { forgetLabels, offerLabels } from "./labels.js";

const byId = (id) => document.getElementById(id);
const bar = byId("bar");
const course = byId("course");
let source = null;

function show(found) {
  const issues = found.issues.map((issue) => make("section", { class: "issue" },
    make("p", { class: "kicker" }, make("span", { class: `severity ${issue.severity}` }, issue.severity), ` ${issue.kind}`),
    make("p", {}, issue.message),
    ...(issue.images.length ? [make("div", { class: "strip" }, ...issue.images.map((each) => captioned(each.image, each.name)))] : []),
    ...(issue.more ? [make("p", { class: "small" }, `and ${issue.more.toLocaleString()} more`)] : []),
  ));
  const pairs = found.pairs.length ? [make("section", {}, make("h2", {}, "Near duplicates, the likest first"),
    make("div", { class: "near-pairs" }, ...found.pairs.map((pair) => make("div", {}, make("div", { class: "strip" }, ...pair.images.map((image, k) => captioned(image, pair.names[k]))), make("p", { class: "small" }, pair.about)))))] : [];
  const head = make("section", {}, make("h2", {}, found.issues.length ? `${found.issues.length} ${found.issues.length === 1 ? "thing" : "things"} to know` : "Nothing wrong was found"),
    make("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "Images of every class by split" }, found.summary));
  byId("found").replaceChildren(head, ...issues, ...pairs);
  say(head.querySelector("h2").textContent);
  if (!byId("unlabelled").checked) offerLabels(byId("source").value);
}

function end() {
  source?.close();
  source = null;
  bar.hidden = true;
  byId("go").disabled = false;
}

byId("check").addEventListener("submit", (event) => {
  event.preventDefault();
  end();
  byId("found").replaceChildren();
  forgetLabels();
  byId("go").disabled = true;
  course.textContent = "Reading…";
  const query = new URLSearchParams({ source: byId("source").value, unlabelled: byId("unlabelled").checked });
  source = new EventSource(`/api/check?${query}`);
  source.onmessage = (message) => {
    const now = JSON.parse(message.data);
    if (now.error) { course.textContent = now.error; end(); return; }
    if (now.issues) { course.textContent = ""; end(); show(now); return; }
    bar.hidden = !now.total;
    bar.value = now.total ? now.done / now.total : 0;
    if (now.total) course.textContent = `${now.done.toLocaleString()} of ${now.total.toLocaleString()} images read`;
  };
  source.onerror = async () => {  // a refusal is no stream: ask again for its words
    end();
    try { course.textContent = (await (await fetch(`/api/check?${query}`)).json()).error; } catch { course.textContent = "The server does not answer."; }
  };
});
if (byId("source").value) byId("check").requestSubmit();
