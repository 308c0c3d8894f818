(() => {
  const start = (box) => {
    const { steps, degrees, texts } = JSON.parse(box.querySelector("[data-record]").textContent);
    const names = Object.keys(degrees);
    const words = names.map((name) => texts[name].split(" "));
    const [scrub, now, cursor, lit, body] = ["[data-scrub]", "[data-now]", "[data-cursor]", "[data-lit]", "[data-cells]"].map((name) => box.querySelector(name));
    const plane = box.querySelector(".plane");
    const rows = [...body.rows];
    const [T, L] = [steps.length, rows.length];
    const titles = rows.map((row) => row.cells[0].title);

    const show = (column) => {
      now.textContent = steps[column].toLocaleString("en");
      cursor.style.left = 100 * column / T + "%";
      if (scrub) { scrub.value = column; scrub.setAttribute("aria-valuetext", "step " + steps[column].toLocaleString("en")); }
      rows.forEach((row, r) => names.forEach((name, k) => {
        const degree = degrees[name][r * T + column];
        row.cells[k + 1].className = "h" + (degree === "." ? "n" : degree);
        row.cells[k + 1].textContent = words[k][r * T + column];
      }));
    };
    const light = (chosen) => {
      lit.replaceChildren(...chosen.map((r) => {
        const band = document.createElement("i");
        band.style.top = 100 * r / L + "%";
        band.style.height = 100 / L + "%";
        return band;
      }));
      rows.forEach((row, r) => row.classList.toggle("lit-row", chosen.includes(r)));
      if (!chosen.length) return;
      const area = body.closest(".column"); // only this box scrolls, not the page
      area.scrollTop = rows[chosen[0]].offsetTop - area.clientHeight / 3;
    };
    const choose = (measure) => {
      const input = [...box.querySelectorAll(".measures input")].find((one) => one.value === measure);
      if (input) input.checked = true;
    };
    const at = (event) => {
      const area = plane.getBoundingClientRect();
      const inside = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
      return [inside((event.clientX - area.left) / area.width, T), inside((event.clientY - area.top) / area.height, L)];
    };

    scrub?.addEventListener("input", () => show(+scrub.value));
    plane.addEventListener("pointermove", (event) => {
      const [column, row] = at(event);
      const k = names.indexOf(box.querySelector(".measures input:checked")?.value);
      plane.dataset.tip = titles[row] + ", step " + steps[column].toLocaleString("en") + (k < 0 ? "" : ": " + words[k][row * T + column]);
    });
    plane.addEventListener("click", (event) => { const [column, row] = at(event); show(column); light([row]); });
    return { show, light, choose };
  };

  addEventListener("DOMContentLoaded", () => {
    const networks = {};
    document.querySelectorAll("[data-network]").forEach((box) => { networks[box.id] = start(box); });
    document.querySelectorAll("[data-show]").forEach((link) => link.addEventListener("click", () => {
      const network = networks[link.dataset.show];
      network.choose(link.dataset.measure);
      network.show(+link.dataset.column);
      network.light(link.dataset.rows.split(" ").filter(Boolean).map(Number));
    }));
    const open = () => { const target = document.getElementById(location.hash.slice(1)); if (target?.tagName === "DETAILS") target.open = true; };
    addEventListener("hashchange", open);
    open();
  });
})();
