"""The local page in a real browser: its start, first paint, a table of 500 runs, latent sliders, classification, accessibility.

    npm install axe-core
    python benchmarks/web.py [--axe node_modules/axe-core/axe.min.js] [--data mnist] [--rounds 5]

Trains a small classifier and a VAE first, and copies the former 500 times. Needs playwright and a chromium (`SEEWHY_BROWSER` names another).

    start            from the command to the first answer, with the processor's time of the server until then
    first paint      from the navigation to the first contentful paint
    500 runs         from the navigation to the end of loading, nothing kept in memory, and again
    latent moves     a slider is moved at each frame of the screen, 60 a second: the images that were decoded in the server and drawn
    round trip       an image is sent by the page's own script and its probabilities are there
    axe-core         findings by impact over all pages, light and dark
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from machine import hardware
from playwright.sync_api import Browser, Page, sync_playwright

import seewhy
from seewhy.data import load_dataset
from seewhy.data.image_files import save_image, to_pixels

COPIES, MOVES_SECONDS, IMAGES = 500, 5, 60

MOVES = """async (seconds) => {
    const canvas = document.getElementById("decoded"), slider = document.querySelector("#latents input");
    const before = Number(canvas.dataset.moves), began = performance.now();
    let sent = 0;
    while (performance.now() - began < 1000 * seconds) {
        await new Promise(requestAnimationFrame);
        slider.value = 3 * Math.sin(sent++ / 20);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }
    return [sent / seconds, (Number(canvas.dataset.moves) - before) / seconds];
}"""

TRIPS = """async ([key, images]) => {
    const times = [];
    for (const image of images) {
        const began = performance.now();
        await (await fetch(`/api/classify/${key}`, { method: "POST", body: new Uint8Array(image) })).json();
        times.push(performance.now() - began);
    }
    return times;
}"""

PAINT = "() => performance.getEntriesByType('paint').find((each) => each.name === 'first-contentful-paint')?.startTime"
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


@contextmanager
def served(home: Path, runs: str) -> Iterator[tuple[str, float, float]]:
    """Yield the page's address, the seconds until its first answer, and the processor's until then."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "seewhy", "web", runs, "--data", "."]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    with urlopen(address) as answer:
        assert answer.status == 200
    seconds = time.perf_counter() - began
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    try:
        yield address, seconds, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def opened(browser: Browser, address: str, path: str = "/", **options: Any) -> Iterator[Page]:
    """Yield a page that knows the token."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.goto(address)
    page.goto(address.partition("/?")[0] + path)
    yield page
    context.close()


def prepare(home: Path, data: str) -> None:
    """Train what is shown."""
    seewhy.train(data, model="mlp", epochs=1.0, width=32, out=home / "runs/mlp", watch=False)
    seewhy.train(data, model="vae", epochs=1.0, out=home / "runs/vae", watch=False)
    seewhy.compare(
        "digits",
        vary={"activation": ["relu", "elu"]},
        seeds=2,
        epochs=0.3,
        tune="none",
        model="mlp",
        out=home / "runs/study",
    )
    for number in range(COPIES):
        shutil.copytree(
            home / "runs/mlp", home / f"many/run-{number:03d}", ignore=shutil.ignore_patterns("checkpoint", "samples")
        )
    shown = load_dataset(data).train
    for number in range(IMAGES):
        save_image(to_pixels(shown.images(slice(number, number + 1)))[0], home / f"{number}.png")


def spread(values: list[float], unit: str) -> str:
    """Return the median with the least and the largest."""
    return f"{statistics.median(values):.3g} {unit} ({min(values):.3g} to {max(values):.3g}, n = {len(values)})"


def measure_start(home: Path, browser: Browser, rounds: int) -> None:
    """Print start and first paint."""
    walls, cpus, paints = [], [], []
    for _ in range(rounds):
        with served(home, "runs") as (address, wall, cpu), opened(browser, address) as page:
            walls.append(wall)
            cpus.append(cpu)
            paints.append(page.wait_for_function(PAINT).json_value())
    print("start          ", spread(walls, "s"), "of which processor", spread(cpus, "s"))
    print("first paint    ", spread(paints, "ms"))


def measure_table(home: Path, browser: Browser, rounds: int) -> None:
    """Print how long a table of many runs takes."""
    cold, warm, paints = [], [], []
    for _ in range(rounds):
        with served(home, "many") as (address, wall, _):
            base = address.partition("/?")[0]
            cold.append(1000 * wall)
            with opened(browser, address) as page:
                for _ in range(2):
                    page.goto(base)
                    page.wait_for_load_state("load")
                warm.append(page.wait_for_function(LOADED).json_value())
                paints.append(page.wait_for_function(PAINT).json_value())
                assert page.locator("#runs tbody tr").count() == COPIES
    print(f"{COPIES} runs       start and first answer", spread(cold, "ms"))
    print(f"{COPIES} runs       loaded", spread(warm, "ms"), "first paint", spread(paints, "ms"))


def measure_use(home: Path, browser: Browser) -> None:
    """Print the pace of sliders and the round trip of a classification."""
    with served(home, "runs") as (address, _, _):
        with opened(browser, address, "/generate/0/vae") as page:
            page.wait_for_selector("#decoded[data-moves]", timeout=60_000)
            page.wait_for_selector("#samples img:not([hidden])", timeout=60_000)
            moved, drawn = page.evaluate(MOVES, MOVES_SECONDS)
            print(f"latent moves    {drawn:.0f} images a second drawn, of {moved:.0f} moves, over {MOVES_SECONDS} s")
        with opened(browser, address, "/classify/0/mlp") as page:
            images = [list((home / f"{number}.png").read_bytes()) for number in range(IMAGES)]
            times = page.evaluate(TRIPS, ["0/mlp", images])
            print(
                "round trip     ",
                spread(times[10:], "ms"),
                f"95% below {statistics.quantiles(times[10:], n=20)[-1]:.3g} ms",
            )


def measure_axe(home: Path, browser: Browser, script: Path) -> None:
    """Print what axe-core finds on every page."""
    acts: dict[str, Callable[[Page], object]] = {
        "/": lambda page: page.check("#runs tbody input >> nth=0"),
        "/run/0/mlp": lambda page: None,
        "/compare?run=0/mlp&run=0/vae": lambda page: None,
        "/study/0/study": lambda page: page.wait_for_selector("#h-verdict", timeout=60_000),
        "/classify/0/mlp": lambda page: (
            page.set_input_files("#files", str(home / "0.png")),
            page.click(".why:not([hidden])", timeout=60_000),
            page.wait_for_selector(".strip img", timeout=60_000),
        ),
        "/generate/0/vae": lambda page: page.wait_for_selector("#samples img:not([hidden])", timeout=60_000),
        "/new": lambda page: (
            page.fill("#source", "digits"),
            page.fill("#f-train-epochs", "x"),
            page.click("summary >> nth=1"),
        ),
        "/check": lambda page: (
            page.fill("#source", "digits"),
            page.click("#go"),
            page.wait_for_selector("#found section", timeout=60_000),
        ),
    }
    found: Counter[str] = Counter()
    with served(home, "runs") as (address, _, _):
        for path, act in acts.items():
            for scheme in ("light", "dark"):
                for width in (1200, 390):
                    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
                    with opened(browser, address, path, **options) as page:
                        act(page)
                        page.wait_for_timeout(500)
                        page.add_script_tag(content=script.read_text(encoding="utf-8"))
                        for each in page.evaluate("() => axe.run().then((found) => found.violations)"):
                            found[each["impact"]] += len(each["nodes"])
                            print(
                                f"  {path} {scheme} {width}: {each['impact']} {each['id']}: {each['nodes'][0]['html'][:120]}"
                            )
    print("axe-core       ", dict(found) or "nothing", f"on {len(acts)} pages, light and dark, desk and phone")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axe", type=Path, help="axe.min.js")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    program = os.environ.get("SEEWHY_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        home = Path(folder)
        prepare(home, options.data)
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        print(hardware(), f"; chromium {browser.version}")
        measure_start(home, browser, options.rounds)
        measure_table(home, browser, options.rounds)
        measure_use(home, browser)
        if options.axe is not None:
            measure_axe(home, browser, options.axe)
        browser.close()


if __name__ == "__main__":
    main()
