(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const themes = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("seewhy-theme"); } catch { return null; } };
  const store = (name) => { try { localStorage.setItem("seewhy-theme", name); } catch { /* a file may have no storage */ } };
  const apply = (name) => { if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name; };
  let theme = themes.includes(stored()) ? stored() : "auto";
  apply(theme);

  const startTheme = () => {
    const button = document.querySelector("[data-theme-toggle]");
    const label = () => {
      button.firstElementChild.textContent = "Theme: " + theme;
      button.setAttribute("aria-label", "Colour theme: " + theme);
    };
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      apply(theme); store(theme); label();
    });
    label();
  };

  const startCopy = () => document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      const code = button.parentElement.querySelector("code");
      let done = true;
      try { await navigator.clipboard.writeText(code.textContent); } catch {
        getSelection().selectAllChildren(code);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    }
  });

  const startFrames = () => document.querySelectorAll("[data-frames]").forEach((box) => {
    const frames = [...box.querySelectorAll("figure")];
    const slider = box.querySelector("input");
    slider?.addEventListener("input", () => frames.forEach((frame, index) => frame.toggleAttribute("data-hidden", index !== +slider.value)));
  });

  const sort = (table, column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const text = head.dataset.kind === "text";
    const key = (row) => text ? row.cells[column].textContent : row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (text) return (up ? 1 : -1) * x.localeCompare(y, undefined, { numeric: true });
      if (x === "" || y === "") return (x === "") - (y === "");
      return (up ? 1 : -1) * (x - y);
    });
    table.tBodies[0].append(...rows);
    table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  const startTables = (within) => within.querySelectorAll("table[data-sortable]").forEach((table) => {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
    });
  });

  const startTips = () => {
    const tip = document.getElementById("tip");
    const move = (event) => {
      const mark = event.target.closest && event.target.closest("[data-tip]");
      if (!mark) { tip.hidden = true; return; }
      tip.textContent = mark.dataset.tip;
      tip.hidden = false;
      const edge = root.clientWidth - tip.offsetWidth - 8;
      tip.style.left = Math.max(8, Math.min(edge, event.clientX + 14)) + "px";
      const above = event.clientY - tip.offsetHeight - 12;
      tip.style.top = (above < 8 ? event.clientY + 18 : above) + "px";
    };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerdown", move);
    document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
  };

  const startPrint = () => {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open])")];
      opened.forEach((details) => { details.open = true; });
    });
    addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
  };

  addEventListener("DOMContentLoaded", () => { startTheme(); startCopy(); startTables(document); startFrames(); startTips(); startPrint(); });
  addEventListener("part-filled", (event) => startTables(event.target));  // of a page whose parts come later
})();
