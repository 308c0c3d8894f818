// The form of a run: fields of the model and the optimiser that are chosen, the command that it stands for, and its start.
import { keyPath, make, post, request, say } from "./base.js";

const byId = (id) => document.getElementById(id);
const form = byId("new");
const box = byId("fields");
const asked = new Map();  // texts by path; those of another model are kept, and sent when they belong again

function field(each) {
  const id = `f-${each.path.replaceAll(".", "-")}`;
  let input;
  if (each.choices.length) {
    input = make("select", { id }, make("option", { value: "" }, each.placeholder), ...each.choices.map((name) => make("option", {}, name)));
  } else {
    input = make("input", { id, type: "text", placeholder: each.placeholder, spellcheck: "false" });
  }
  input.dataset.path = each.path;
  input.value = asked.get(each.path) || "";
  const name = each.path.split(".").slice(1).join(" · ").replaceAll("_", " ");
  const belongs = each.belongs.length ? `of ${each.belongs.join(", ")}; ` : "";
  const element = make("label", { for: id }, make("span", { class: "name" }, name), input, make("small", {}, belongs + each.help), make("small", { class: "wrong", id: `${id}-wrong` }));
  input.setAttribute("aria-describedby", `${id}-wrong`);
  element.dataset.text = `${each.path} ${each.flag} ${each.help} ${each.choices.join(" ")}`.toLowerCase();
  return element;
}

const fill = () => load().catch((error) => { byId("problems").replaceChildren(make("li", {}, error.message)); });

let loading = 0;
async function load() {
  const mine = ++loading;
  const query = new URLSearchParams({ model: byId("model").value, optimizer: byId("optimizer").value });
  const answer = await request(`/api/fields?${query}`);
  const { sections } = await answer.json();
  if (mine !== loading) return;
  const open = [...box.querySelectorAll("details[open]")].map((each) => each.dataset.section);
  const chosen = ["model.name", "optim.name"];
  const common = sections.flatMap((section) => section.fields.filter((each) => each.common));
  box.replaceChildren(
    make("div", { class: "fields", id: "common" }, ...common.map(field)),
    ...sections.map((section) => {
      const rest = section.fields.filter((each) => !each.common && !chosen.includes(each.path));
      const details = make("details", { class: "group", open: open.includes(section.name) },
        make("summary", {}, section.title[0].toUpperCase() + section.title.slice(1), make("span", { class: "quiet" }, ` ${rest.length}`)),
        make("div", { class: "fields" }, ...rest.map(field)));
      details.dataset.section = section.name;
      return details;
    }).filter((details) => details.querySelector("label")),
  );
  sift();
  ask();
}

function sift() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  box.querySelectorAll("label").forEach((label) => {
    label.hidden = !words.every((word) => label.dataset.text.includes(word));
    shown += !label.hidden;
  });
  box.querySelectorAll("details").forEach((details) => {
    const any = Boolean(details.querySelector("label:not([hidden])"));
    details.hidden = !any;
    if (words.length) details.open = any;
  });
  byId("none").hidden = shown > 0;
}

function wanted() {
  const options = {};
  if (byId("model").value) options["model.name"] = byId("model").value;
  if (byId("optimizer").value) options["optim.name"] = byId("optimizer").value;
  box.querySelectorAll("[data-path]").forEach((input) => { if (input.value.trim()) options[input.dataset.path] = input.value.trim(); });
  return { source: byId("source").value, out: byId("out").value, options };
}

let asking = 0;
async function ask() {
  const mine = ++asking;
  let found;
  try { found = await post("/api/ask", JSON.stringify(wanted())); } catch (error) { found = { command: null, problems: [error.message] }; }
  if (mine !== asking) return;
  box.querySelectorAll(".wrong").forEach((each) => { each.textContent = ""; });
  box.querySelectorAll("[aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
  const rest = [];
  for (const problem of found.problems) {
    const path = problem.split(":")[0];
    const input = box.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (input) {
      input.setAttribute("aria-invalid", "true");
      byId(`${input.id}-wrong`).textContent = problem.slice(path.length + 2);
    }
    if (!input || input.closest("details:not([open])")) rest.push(problem);
  }
  byId("command").textContent = found.command || "seewhy train …";
  byId("problems").replaceChildren(...(byId("source").value.trim() ? rest : []).map((problem) => make("li", {}, problem)));
  byId("start").disabled = byId("plan").disabled = !found.command;
}

let soon = null;
function askSoon() {
  clearTimeout(soon);
  soon = setTimeout(ask, 150);
}

const printed = byId("said-by-run");
function print(text) {
  printed.hidden = false;
  printed.textContent = text;
  printed.scrollTop = printed.scrollHeight;
}

async function follow(key) {
  for (;;) {
    const now = await (await request(`/api/started/${keyPath(key)}`)).json();
    if (now.begun) {
      location.href = `/run/${keyPath(key)}`;
      return;
    }
    if (now.log) print(now.log);
    if (now.code !== null) {
      say("The run has ended before it began");
      byId("start").disabled = false;
      return;
    }
    await new Promise((done) => { setTimeout(done, 400); });
  }
}

form.addEventListener("input", (event) => {
  if (event.target.id === "search") { sift(); return; }
  if (event.target.dataset.path) asked.set(event.target.dataset.path, event.target.value);
  askSoon();
});
for (const id of ["model", "optimizer"]) byId(id).addEventListener("change", fill);
byId("plan").addEventListener("click", async () => {
  print("Reading the images…");
  try { print((await post("/api/plan", JSON.stringify(wanted()))).plan); } catch (error) { print(error.message); }
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("start").disabled = true;
  try {
    const found = await post("/api/start", JSON.stringify(wanted()));
    print(`$ ${found.command}`);
    say("The run is started");
    await follow(found.key);
  } catch (error) {
    print(error.message);
    byId("start").disabled = false;
  }
});
fill();
