(() => {
  const format = (value) => {
    if (!Number.isFinite(value)) return "–";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) return value.toExponential(2).replace("e+", "e");
    return String(Number(value.toPrecision(4)));
  };

  const last = (at, time) => {
    let [low, high] = [0, at.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (at[middle] <= time) low = middle; else high = middle - 1;
    }
    return low;
  };

  // The trajectory up to a time, which may lie between two points: its path and its head.
  const cut = (trajectory, xs, ys, time) => {
    const i = last(trajectory.at, time);
    let path = "M" + xs[0] + " " + ys[0];
    for (let k = 1; k <= i; k += 1) path += "L" + xs[k] + " " + ys[k];
    let [x, y] = [xs[i], ys[i]];
    if (i + 1 < trajectory.at.length) {
      const fraction = (time - trajectory.at[i]) / (trajectory.at[i + 1] - trajectory.at[i]);
      x += fraction * (xs[i + 1] - x);
      y += fraction * (ys[i + 1] - y);
      path += "L" + x.toFixed(1) + " " + y.toFixed(1);
    }
    return [path, x, y];
  };

  const start = (section) => {
    const { frames, trajectories, step_name: stepName } = JSON.parse(section.querySelector("[data-record]").textContent);
    const [play, scrub, output] = ["[data-play]", "[data-scrub]", "[data-step-output]"].map((name) => section.querySelector(name));
    const [plane, descent] = section.querySelectorAll("svg");
    const now = section.querySelector("[data-now]");
    const rows = [...section.querySelectorAll("tr[data-method]")];
    const drawn = [plane, descent].map((svg) => [...svg.querySelectorAll(".trajectory")]);
    const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
    const end = frames.length - 1;
    const seconds = Math.max(3, Math.min(12, 3 + end / 20));
    let [position, before, request] = [end, 0, 0];

    const timeAt = (frame) => {
      const i = Math.min(end, Math.floor(frame));
      return i === end ? frames[end] : frames[i] + (frame - i) * (frames[i + 1] - frames[i]);
    };
    const show = () => {
      const time = timeAt(position);
      const whole = Math.floor(time);
      section.classList.toggle("playing", position < end);
      let edge = 0;
      trajectories.forEach((trajectory, k) => {
        if (trajectory.at.length === 0) return;
        [[trajectory.x, trajectory.y], [trajectory.dx, trajectory.dy]].forEach(([xs, ys], which) => {
          const group = drawn[which][k];
          const [path, x, y] = cut(trajectory, xs, ys, time);
          group.querySelector(".past").setAttribute("d", path);
          const head = group.querySelector("circle");
          head.setAttribute("cx", x);
          head.setAttribute("cy", y);
          if (which === 1) edge = Math.max(edge, x);
        });
        const i = last(trajectory.at, time);
        rows[k].querySelector("[data-step]").textContent = trajectory.at[i].toLocaleString("en");
        rows[k].querySelector("[data-value]").textContent = format(trajectory.v[i]);
      });
      now.setAttribute("x1", edge);
      now.setAttribute("x2", edge);
      output.replaceChildren(stepName + " ", Object.assign(document.createElement("b"), { textContent: whole.toLocaleString("en") }),
        " of " + frames[end].toLocaleString("en"));
      scrub.value = Math.round(position);
      scrub.setAttribute("aria-valuetext", stepName + " " + whole + " of " + frames[end]);
    };

    const stop = () => {
      cancelAnimationFrame(request);
      request = 0;
      play.textContent = position < end ? "Play" : "Play again";
    };
    const step = (moment) => {
      position = Math.min(end, position + (moment - before) / 1000 * end / seconds);
      before = moment;
      if (reducedMotion.matches) { const exact = position; position = Math.floor(position); show(); position = exact; } else show();
      if (position >= end) { stop(); return; }
      request = requestAnimationFrame(step);
    };
    const toggle = () => {
      if (request) { stop(); return; }
      if (position >= end) position = 0;
      play.textContent = "Pause";
      before = performance.now();
      request = requestAnimationFrame(step);
    };

    play.addEventListener("click", toggle);
    scrub.addEventListener("input", () => { position = Number(scrub.value); stop(); show(); });
    scrub.addEventListener("keydown", (event) => {
      if (event.key === " ") { event.preventDefault(); toggle(); }
    });

    const dim = (method) => drawn.flat().forEach((group) => {
      group.classList.toggle("dim", method !== null && group.dataset.method !== method);
    });
    rows.forEach((row) => {
      const pick = row.querySelector("[data-pick]");
      pick.addEventListener("click", () => {
        const off = pick.getAttribute("aria-pressed") === "true";
        pick.setAttribute("aria-pressed", String(!off));
        row.classList.toggle("off", off);
        drawn.forEach((groups) => groups[row.dataset.method].classList.toggle("off", off));
      });
      const enter = () => { if (pick.getAttribute("aria-pressed") === "true") dim(row.dataset.method); };
      row.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") enter(); });
      row.addEventListener("pointerleave", () => dim(null));
      pick.addEventListener("focus", () => { if (pick.matches(":focus-visible")) enter(); });
      pick.addEventListener("blur", () => dim(null));
    });
    play.textContent = end > 0 ? "Play" : "Nothing to play";
    play.disabled = scrub.disabled = end === 0;
  };

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-trajectories]").forEach(start));
})();
