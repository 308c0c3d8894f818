// Generating: knobs whose newest values are sent once the answer before has come, so that images follow the hand as fast as they are made.
import { keyPath, make, post, request, say } from "./base.js";

const key = keyPath(document.getElementById("generate").dataset.key);
const byId = (id) => document.getElementById(id);
const chosenLabel = (id) => byId(id)?.value || null;

/** Return a function that runs `work` with the newest state: while it runs, further calls are remembered as one. */
function latest(work, failed) {
  let running = false, again = false;
  return async function run() {
    if (running) { again = true; return; }
    running = true;
    do {
      again = false;
      try { await work(); } catch (error) { failed(error.message); }
    } while (again);
    running = false;
  };
}

const send = (path, value) => post(`/api/${path}/${key}`, JSON.stringify(value));

function showSheet(id, found, text) {
  const figure = byId(id);
  const image = figure.querySelector("img");
  image.src = found.sheet;
  image.hidden = false;
  figure.querySelector("figcaption").textContent = text;
}
const failSheet = (id) => (message) => {
  const figure = byId(id);
  figure.removeAttribute("aria-busy");
  figure.querySelector("img").hidden = true;  // what was made of another choice
  figure.querySelector("figcaption").textContent = message;
};

function echo(input, shown, digits) {
  const write = () => { byId(shown).textContent = Number(byId(input).value).toFixed(digits); };
  byId(input).addEventListener("input", write);
  write();
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Let a place take an image by choice or drop; `taken` is given its base64. */
function imagePlace(id, taken) {
  const place = byId(id);
  if (!place) return;
  const [button, image, input] = [place.querySelector("button"), place.querySelector("img"), place.querySelector("input")];
  const take = async (file) => {
    if (!file) return;
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(file);
    image.alt = file.name;
    image.hidden = false;
    taken(await base64(file));
  };
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
  place.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => event.preventDefault());

// Samples.
const sample = latest(async () => {
  const figure = byId("samples");
  figure.setAttribute("aria-busy", "true");
  figure.querySelector("figcaption").textContent = "Sampling…";
  const began = performance.now();
  const found = await send("sample", {
    n: Number(byId("n").value), seed: Number(byId("seed").value),
    temperature: Number(byId("temperature").value), label: chosenLabel("sample-label"),
  });
  figure.removeAttribute("aria-busy");
  showSheet("samples", found, `${found.n} images in ${((performance.now() - began) / 1000).toFixed(2)} s`);
}, failSheet("samples"));
echo("temperature", "temperature-shown", 2);
echo("n", "n-shown", 0);
byId("sample").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("seed").value = (Number(byId("seed").value) + 1) % 2147483648;
  sample();
});
byId("sample").addEventListener("change", sample);
sample();

// Latent dimensions.
const SHOWN = 12, HEIGHT = 3;
let axes = null, latents = [], shown = SHOWN;

function paint(pixels, [height, width, channels]) {
  const canvas = byId("decoded");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let at = 0, from = 0; at < image.data.length; at += 4, from += channels) {
    image.data[at] = pixels[from];
    image.data[at + 1] = pixels[from + (channels === 3 ? 1 : 0)];
    image.data[at + 2] = pixels[from + (channels === 3 ? 2 : 0)];
    image.data[at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const decode = latest(async () => {
  const answer = await request(`/api/decode/${key}`, { method: "POST", body: JSON.stringify({ latents, label: chosenLabel("latent-label") }) });
  if (!answer.ok) throw new Error((await answer.json()).error);
  paint(new Uint8Array(await answer.arrayBuffer()), answer.headers.get("x-shape").split(",").map(Number));
  const canvas = byId("decoded");
  canvas.dataset.moves = Number(canvas.dataset.moves || 0) + 1;
  byId("decoded-said").textContent = "";
}, (message) => { byId("decoded-said").textContent = message; });

function sliders() {
  byId("latents").replaceChildren(...axes.order.slice(0, shown).map((dimension, rank) => {
    const about = axes.kl.length ? ` · ${axes.kl[rank].toFixed(2)} nats` : "";
    const value = make("output", {}, latents[dimension].toFixed(2));
    const reach = HEIGHT * axes.deviations[dimension] || HEIGHT;
    const input = make("input", { type: "range", min: axes.start[dimension] - reach, max: axes.start[dimension] + reach, step: "any", "data-dimension": dimension });
    input.value = latents[dimension];
    input.addEventListener("input", () => {
      latents[dimension] = Number(input.value);
      value.textContent = latents[dimension].toFixed(2);
      decode();
    });
    return make("label", {}, make("span", {}, `z${dimension}${about}`), " ", value, input);
  }));
  byId("latent-more").hidden = shown >= axes.order.length;
}

function setLatents(values) {
  latents = [...values];
  sliders();
  decode();
}

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

async function startLatents() {
  axes = await send("axes", {});
  byId("latent-lead").textContent = axes.kl.length
    ? `The ${axes.order.length} dimensions in the order of their KL: the first say most about an image.`
    : `The ${axes.order.length} dimensions in the order of their spread over the training images.`;
  setLatents(axes.start);
}

if (byId("latents")) {
  byId("latent-reset").addEventListener("click", () => setLatents(axes.start));
  byId("latent-random").addEventListener("click", () => setLatents(axes.start.map((middle, k) => middle + normal() * axes.deviations[k])));
  byId("latent-more").addEventListener("click", () => { shown += SHOWN; sliders(); });
  byId("latent-label")?.addEventListener("change", decode);
  imagePlace("latent-image", async (image) => {
    try {
      setLatents((await send("encode", { image, label: chosenLabel("latent-label") })).latents);
      say("The latent of the image");
    } catch (error) { byId("decoded-said").textContent = error.message; }
  });
  startLatents().catch((error) => { byId("decoded-said").textContent = error.message; });
}

// From one image to another.
const ends = {};
const between = latest(async () => {
  if (!ends.start || !ends.end) return;
  const found = await send("interpolate", { ...ends });
  showSheet("between", found, `${found.n} images between the latents of the two, ends included`);
}, failSheet("between"));
for (const id of ["start", "end"]) imagePlace(id, (image) => { ends[id] = image; between(); });

// The rest of an image.
let given = null;
const complete = latest(async () => {
  if (!given) { failSheet("completed")("Choose an image first."); return; }
  byId("completed").querySelector("figcaption").textContent = "Sampling…";
  const found = await send("complete", {
    image: given, rows: Number(byId("rows").value), temperature: Number(byId("heat").value),
    label: chosenLabel("complete-label"), seed: Math.floor(Math.random() * 2147483648),
  });
  showSheet("completed", found, `What is given, and ${found.n} completions`);
}, failSheet("completed"));
if (byId("complete")) {
  echo("rows", "rows-shown", 0);
  echo("heat", "heat-shown", 2);
  imagePlace("given", (image) => { given = image; complete(); });
  byId("complete").addEventListener("submit", (event) => { event.preventDefault(); complete(); });
  byId("complete").addEventListener("change", (event) => { if (event.target.type !== "file") complete(); });
}
