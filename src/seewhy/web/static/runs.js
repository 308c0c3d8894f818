// The table of runs: filter, choose, compare, delete.
import { keyPath, post, say } from "./base.js";

const table = document.getElementById("runs");
const rows = table ? [...table.tBodies[0].rows] : [];
const filter = document.getElementById("filter");
const picked = document.getElementById("picked");
const most = Number(table?.dataset.most);
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function sift() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !row.isConnected || !words.every((word) => texts.get(row).includes(word));
    shown += !row.hidden;
  }
  const all = rows.filter((row) => row.isConnected).length;
  document.getElementById("none").hidden = shown > 0;
  document.getElementById("h-runs").textContent = `${all} ${all === 1 ? "run" : "runs"}`;
  say(`${shown} of ${all} runs`);
}

const chosen = () => rows.filter((row) => row.isConnected && row.querySelector("input").checked);

function showPicked() {
  const some = chosen();
  picked.hidden = some.length === 0;
  picked.querySelector("b").textContent = some.length;
  const compare = document.getElementById("compare");
  compare.disabled = some.length < 2 || some.length > most;
  compare.title = compare.disabled ? `Choose from 2 to ${most} runs` : "";
}

const dialog = document.getElementById("sure");
const yes = document.getElementById("sure-yes");
let sure = false;

function ask() {
  const names = chosen().map((row) => row.querySelector("a").textContent);
  sure = false;
  document.getElementById("sure-title").textContent = `Delete ${names.length === 1 ? "this run" : `these ${names.length} runs`}?`;
  document.getElementById("sure-text").textContent = "Network, figures and report are removed from the disk.";
  document.getElementById("sure-list").replaceChildren(...names.slice(0, 12).map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  }), ...(names.length > 12 ? [`and ${names.length - 12} more`] : []));
  yes.textContent = "Delete";
  dialog.showModal();
}

async function remove() {
  if (!sure) {
    sure = true;
    document.getElementById("sure-title").textContent = "Really? This cannot be taken back.";
    yes.textContent = "Delete for good";
    return;
  }
  yes.disabled = true;
  const failures = [];
  for (const row of chosen()) {
    try {
      await post(`/api/remove/${keyPath(row.dataset.key)}`);
      row.remove();
    } catch (error) {
      failures.push(error.message);
    }
  }
  yes.disabled = false;
  if (failures.length) document.getElementById("sure-text").textContent = failures.join("; ");
  else dialog.close();
  showPicked();
  sift();
}

if (table) {
  filter.addEventListener("input", sift);
  table.addEventListener("change", showPicked);
  document.getElementById("compare").addEventListener("click", () => {
    location.href = "/compare?" + new URLSearchParams(chosen().map((row) => ["run", row.dataset.key]));
  });
  document.getElementById("delete").addEventListener("click", ask);
  yes.addEventListener("click", remove);
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  showPicked();
}
