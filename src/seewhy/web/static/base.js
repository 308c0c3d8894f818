// What all pages need: the token leaves the address, times in the reader's own words, requests and what is said to a screen reader.

const address = new URL(location.href);
if (address.searchParams.has("token")) {
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}

export const keyPath = (key) => key.split("/").map(encodeURIComponent).join("/");

export const say = (text) => { document.getElementById("said").textContent = text; };

export const GONE = "The server of this page does not answer. Runs go on without it: start seewhy web again, and open the address that it prints.";

/** Like fetch, but throws an Error with words for people where nobody answers. */
export async function request(path, options = {}) {
  try { return await fetch(path, options); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(GONE);
  }
}

/** Send a body and return the JSON of the answer; throws an Error with the server's own words. */
export async function post(path, body = null, signal = undefined) {
  const answer = await request(path, { method: "POST", body, signal });
  let value = {};
  try { value = await answer.json(); } catch { /* no JSON: the status says enough */ }
  if (!answer.ok) throw new Error(value.error || `the server answers ${answer.status}`);
  return value;
}

/** Return a new element with attributes and children; texts are texts, never HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Return an image, or that there is none, with lines below it; the first is its name. */
export const captioned = (image, ...lines) => make("figure", {},
  image ? make("img", { src: image, alt: lines[0], loading: "lazy" }) : make("span", { class: "no-image" }, "no image"),
  make("figcaption", {}, ...lines.map((line) => make("span", {}, line))));

export const percent = (value, digits = 1) => (100 * value).toFixed(digits) + "%";

export function duration(seconds) {
  if (seconds < 90) return Math.round(seconds) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

export function showTimes(root = document) {
  const write = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  root.querySelectorAll("[data-time]").forEach((time) => {
    const date = new Date(1000 * time.dataset.time);
    time.textContent = write.format(date);
    time.dateTime = date.toISOString();
  });
}
showTimes();
