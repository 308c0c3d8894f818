// Classifying: files come in by drop, paste, choice or camera, are sent one after another, and stand with their probabilities.
import { keyPath, make, percent, post, say } from "./base.js";

const box = document.getElementById("classify");
const key = keyPath(box.dataset.key);
const explains = "explains" in box.dataset;
const results = document.getElementById("results");
const template = document.getElementById("result");
const count = document.getElementById("count");
const bar = document.getElementById("bar");
const AT_ONCE = 3;
const KEPT = 1000;  // rows of which the page keeps the image

const waiting = [];
let running = 0, done = 0, total = 0, failed = 0;

function add(files) {
  for (const file of files) {
    waiting.push(file);
    total += 1;
  }
  while (running < AT_ONCE && waiting.length) next();
}

async function next() {
  running += 1;
  while (waiting.length) await one(waiting.shift());
  running -= 1;
}

function row(file) {
  const item = template.content.firstElementChild.cloneNode(true);
  const image = item.querySelector("img");
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.loading = "lazy";
  item.querySelector(".file").textContent = file.name;
  results.prepend(item);
  while (results.children.length > KEPT) drop(results.lastElementChild);
  return item;
}

function drop(item) {
  URL.revokeObjectURL(item.querySelector("img").src);
  item.remove();
}

async function one(file) {
  const item = row(file);
  const label = item.querySelector(".label");
  label.textContent = "…";
  try {
    const found = await post(`/api/classify/${key}?name=${encodeURIComponent(file.name)}`, file);
    label.replaceChildren(make("strong", {}, found.label), ` ${percent(found.confidence)}`);
    item.querySelector(".probabilities").replaceChildren(...found.top.map(([name, value]) => {
      const meter = make("i");
      meter.style.width = percent(value);
      return make("li", {}, make("span", { class: "name" }, name), make("span", { class: "meter" }, meter), make("span", { class: "amount" }, percent(value)));
    }));
    const why = item.querySelector(".why");
    why.hidden = !explains;
    why.setAttribute("aria-label", `Why ${found.label}? (${file.name})`);
    why.addEventListener("click", () => because(item, file, why));
  } catch (error) {
    failed += 1;
    item.classList.add("bad");
    item.querySelector("img").removeAttribute("src");
    label.textContent = error.message;
  }
  done += 1;
  bar.hidden = total < 2;
  bar.value = done / total;
  count.textContent = `${done.toLocaleString()} of ${total.toLocaleString()} ${total === 1 ? "image" : "images"}${failed ? `, ${failed} not readable` : ""}`;
  if (done === total) say(count.textContent);
}

async function because(item, file, why) {
  const place = item.querySelector(".because");
  why.disabled = true;
  place.hidden = false;
  place.replaceChildren(make("p", { class: "small" }, "Looking…"));
  try {
    const found = await post(`/api/explain/${key}?name=${encodeURIComponent(file.name)}`, file);
    const cell = (source, alt, ...lines) => make("figure", {}, make("img", { src: source, alt }), make("figcaption", {}, ...lines.map((line) => make("span", {}, line))));
    place.replaceChildren(
      make("h3", {}, `What speaks for ${found.class}, in orange, and against it, in blue`),
      make("div", { class: "strip" }, ...found.maps.map((map) => cell(map.image, `${map.name} of ${file.name}`, map.name, ...map.lines))),
      ...(found.nearest.length ? [make("h3", {}, "Nearest training images")] : []),
      make("div", { class: "strip" }, ...found.nearest.map((near) => cell(near.image, near.name, near.label, `distance ${near.distance.toFixed(2)}`))),
      ...found.lines.map((line) => make("p", { class: "small" }, line)),
    );
    why.hidden = true;
    say("Explained");
  } catch (error) {
    place.replaceChildren(make("p", { class: "callout bad" }, error.message));
    why.disabled = false;
  }
}

const input = document.getElementById("files");
document.getElementById("choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => { add(input.files); input.value = ""; });

const area = document.getElementById("drop");
addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) area.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  area.classList.remove("over");
  add(event.dataTransfer.files);
});
addEventListener("paste", (event) => { if (event.clipboardData.files.length) add(event.clipboardData.files); });

const finder = document.getElementById("viewfinder");
const video = finder.querySelector("video");
const camera = document.getElementById("camera");
const shoot = document.getElementById("shoot");
const REFUSALS = {
  NotAllowedError: "The camera is not allowed here: allow it for this address in the browser's settings, then choose Camera again.",
  NotFoundError: "This machine has no camera.",
  NotReadableError: "The camera is in use by another program: close that, then choose Camera again.",
};
camera.hidden = !navigator.mediaDevices?.getUserMedia;

function closeCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  finder.hidden = true;
}

camera.addEventListener("click", async () => {
  camera.disabled = true;
  closeCamera();
  count.textContent = "";
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    shoot.disabled = true;
    finder.hidden = false;
  } catch (error) {
    count.textContent = REFUSALS[error.name] || `The camera cannot be used: ${error.message}`;
  }
  camera.disabled = false;
});
video.addEventListener("loadeddata", () => {
  shoot.disabled = false;
  shoot.focus();
});
shoot.addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  camera.focus();
  canvas.toBlob((blob) => add([new File([blob], `camera ${new Date().toLocaleTimeString()}.png`, { type: "image/png" })]), "image/png");
});
document.getElementById("close-camera").addEventListener("click", () => {
  closeCamera();
  camera.focus();
});
addEventListener("pagehide", closeCamera);
