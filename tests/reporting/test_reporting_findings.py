"""Findings and the network's health as a page: what is shown, escaping, sizes, degenerate records."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from reporting_health import CHECKS, finding, health, network
from reporting_page import HOSTILE, Page
from reporting_records import report

from seewhy.core.errors import InputError
from seewhy.reporting import Health, LinePlot, NetworkHealth, render_report, render_why
from seewhy.reporting.findings import DARK_HEALTH, LIGHT_HEALTH, summary
from seewhy.reporting.health import MEASURES, column_of
from seewhy.reporting.palette import contrast
from seewhy.reporting.plots import line_plot


def record_of(text: str) -> dict:
    return json.loads(re.findall(r'<script type="application/json" data-record>(.*?)</script>', text, re.DOTALL)[0])


@pytest.fixture(scope="module")
def text() -> str:
    return render_why(health(), title="A loop")


def test_the_page_says_what_where_when_and_what_helps(text: str) -> None:
    page = Page(text)
    for words in (
        "1 warning in 100 steps; 1 of 4 checks passed.",
        "90% of the 64 units of layer1 are never active",
        "step 20",
        "confidence 80%",
        "It cannot learn. It is dead. Alas.",
        "Lower the learning rate",
        "lr = 1e-4",
        "Somebody 1999",
        "1,024",
        "inf",
        "0.1, 0.9",
        "It was saturated",
        "passed away at step 90",
        "4 checks: 1 found, 1 passed, 1 skipped, 1 not applicable",
        "no validation loss",
        "threshold 50%",
    ):
        assert words in page.words, words


def test_every_anchor_leads_somewhere_and_every_finding_has_its_own() -> None:
    twice = [finding(), finding(network="other"), finding("a b<c>")]
    page = Page(render_why(health(findings=twice), title="t"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"finding-dead_units", "finding-dead_units-2", "finding-a-b-c-", "finding-saturated_units"} <= set(ids)
    assert {f"#{i}" for i in ids} >= {a["href"] for a in page.all("a")}


def test_the_first_state_needs_no_script(text: str) -> None:
    """Without a script the page shows the first finding, its measure, and the numbers of its step."""
    page, own = Page(text), network()
    opened = [a for a in page.all("details") if "finding" in (a.get("class") or "") and "open" in a]
    assert [a["id"] for a in opened] == ["finding-dead_units"]
    assert [a["value"] for a in page.all("input") if "checked" in a] == ["silent"]
    column = column_of(own.steps, 20)
    assert own.steps[column] <= 20 < own.steps[column + 1]
    assert f"Step {own.steps[column]}" in page.words
    for row in range(3):
        assert f"{100 * own.measures['silent'][row][column]:.0f}%" in page.words
    assert "marked warning" in [a.get("class") for a in page.all("tr")]
    (scrub,) = [a for a in page.all("input") if a["type"] == "range"]
    assert scrub["value"] == str(column)
    assert scrub["aria-label"] == "Step shown, model"


def test_cells_are_coloured_as_they_are_numbered(text: str) -> None:
    """The areas of a measure's paths are the counts of its degrees, and each number stands for its value."""
    data, own = record_of(text), network()
    assert data["steps"] == own.steps
    assert set(data["degrees"]) == {"gradient", "spread", "silent", "update"}, "nothing was measured of the other"
    for name, degrees in data["degrees"].items():
        (drawing,) = re.findall(rf'<svg class="matrix of-measure m-{name}[^>]*>(.*?)</svg>', text, re.DOTALL)
        for degree, path in re.findall(r'<path class="h(.)" d="(.*?)"', drawing):
            assert sum(map(int, re.findall(r"h(\d+)v", path))) == degrees.count(degree)
        words = data["texts"][name].split(" ")
        assert len(words) == len(degrees) == 15
        for word, value in zip(words, [v for row in own.measures[name] for v in row], strict=True):
            number = float(word.rstrip("%")) / (100 if "%" in word else 1)
            assert number == pytest.approx(value, rel=0.06, abs=0.006 if "%" in word else 0)


def test_the_scales_of_health() -> None:
    update = MEASURES["update"].degrees([[1e-3, 0.0, 1e-6, 9e-7, 0.03, 5.0, math.inf, math.nan, None]])
    assert update == ["404358xx."]
    assert MEASURES["silent"].degrees([[0.0, 0.29, 0.5, 1.0]]) == ["4468"]
    # A gradient is small beside the largest of its step, and large beside what its layer began with.
    assert MEASURES["gradient"].degrees([[1e-9, 1.0, 1.0], [1.0, 1.0, 2e3], [1.0, 0.0, math.nan]]) == [
        "183",
        "446",
        "40x",
    ]


@pytest.mark.parametrize(("colours", "card"), [(LIGHT_HEALTH, "#ffffff"), (DARK_HEALTH, "#161b25")])
def test_numbers_are_legible_on_every_colour(colours: dict[str, str], card: str) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert all(contrast(colours[f"h{k}"], colours[f"t{k}"]) >= 4.5 for k in range(9))
    distances = [contrast(colours[f"h{k}"], card) for k in range(9)]
    assert distances[:4] == sorted(distances[:4], reverse=True)
    assert distances[5:] == sorted(distances[5:])
    assert distances[4] < min(distances[:4] + distances[5:])


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_programs_are_text(name: str) -> None:
    own = NetworkHealth(
        name, [1, 2], [name, name + "2"], [name, ""], {"silent": [[0.1, 0.9], [None, math.nan]]}, {name: 0}
    )
    bad = finding(name, title=name, network=name, layers=(name,), evidence={name: name}, explanation=name, source=name)
    record = health(
        findings=[bad],
        past=[replace(bad, ended=3)],
        networks=[own],
        checks=[*CHECKS, replace(CHECKS[0], code=name, reason=name)],
        plots={bad.fingerprint: LinePlot(name, {name: [(1, 1.0)], name + "2": [(1, 2.0)]}, threshold=1, limit=name)},
        learning=[LinePlot(name, {name: [(1, 0.1), (2, 0.2)]})],
        told=[(name, 1, 0.5)],
    )
    text = render_why(record, title=name)
    assert not set("\x00\x1f\u202e") & set(text)
    page, harmless = Page(text), Page(render_why(health(), title="A loop"))
    kinds = [a.get("type") for a in page.all("script")]
    assert kinds == [None, None, "application/json"]
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in harmless.elements} | {"wbr", "circle"}
    assert not [n for _, attributes in page.elements for n in attributes if n.startswith("on")]
    record_of(text)


def test_the_page_loads_nothing_and_runs_its_own_scripts_only(text: str) -> None:
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "source")
        assert (attributes.get("href") or "#").startswith("#")
        assert "src" not in attributes
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest|import\(", text)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in (policy or "")


def test_everything_has_a_name(text: str) -> None:
    page = Page(text)
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) == 6  # of four measures, a finding and the loss
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    assert all(a["aria-label"] for a in page.all("a") if "flag" in (a.get("class") or ""))
    for _, attributes in page.elements:
        if "scroll" in (attributes.get("class") or "").split():
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_pages_stay_small() -> None:
    """Values without any pattern are the worst case: no two cells beside each other share a path."""
    page = render_why(health(networks=[network(60, 60, layer="stages.{}.block.conv")]), title="t")
    assert len(page.encode()) < 600_000
    few = render_why(health(networks=[network(3, 5)]), title="t")
    assert len(few.encode()) < 70_000


@pytest.mark.parametrize(("L", "T"), [(1, 1), (3, 1), (3, 60), (200, 12)])
def test_networks_of_any_size(L: int, T: int) -> None:
    text = render_why(health(networks=[network(L, T)], findings=[finding(layers=(f"layer{L - 1}.weight",))]), title="t")
    page = Page(text)
    assert len([a for a in page.all("tr") if "marked" in (a.get("class") or "")]) == 1
    assert len([a for a in page.all("input") if a["type"] == "range"]) == (T > 1)
    tops = sorted(float(t) for t in re.findall(r'<span style="top:([\d.]+)%', text))
    height = min(484, 22 * L)
    assert all(b - a >= 100 * 15.99 / height for a, b in pairwise(tops)), "names do not overlap"
    assert tops[-1] == pytest.approx(100 * (L - 0.5) / L, abs=1e-3), "what is marked has its name"


def test_several_networks_are_drawn_each_with_its_own_findings() -> None:
    pair = [network(3, 5, "generator"), network(4, 5, "discriminator")]
    own = [finding(network="discriminator", layers=("layer1",)), finding("no_learning", network="generator", layers=())]
    page = Page(render_why(health(networks=pair, findings=own, past=()), title="t"))
    shown = {a["data-show"]: a["data-rows"] for a in page.all("a") if "data-show" in a}
    assert shown == {"network-discriminator": "1", "network-generator": ""}
    assert len([a for a in page.all("tr") if "marked" in (a.get("class") or "")]) == 1, "layers of one name are two"
    names = {a["name"] for a in page.all("input") if a["type"] == "radio"}
    assert names == {"measure-network-generator", "measure-network-discriminator"}
    assert "generator" in page.words


def test_nothing_wrong_and_nothing_seen_are_said() -> None:
    fine = health(findings=(), past=())
    assert "✓" not in Page(render_why(fine, title="t")).words, "the mark is the style's"
    assert summary(fine) == "Nothing wrong was found in 100 steps; 1 of 4 checks passed."
    page = Page(render_why(Health(steps=0), title="t"))
    assert "No step was seen, so nothing can be said." in page.words
    assert not page.all("table")
    assert "fine" not in " ".join(a.get("class") or "" for a in page.all("p"))


def test_a_measure_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"silent of 'model': must be \[2\]\[3\]"):
        NetworkHealth("model", [1, 2, 3], ["a", "b"], ["", ""], {"silent": [[0.1, 0.2, 0.3]]})


def test_the_reports_page_has_findings_first_and_the_network_after_the_curves() -> None:
    page = Page(render_report(report(health=health())))
    sections = [a["id"] for a in page.all("section")]
    assert sections[:3] == ["findings", "curves", "network"]
    links = [a["href"] for a in page.all("a")]
    assert [href for href in links if href in ("#findings", "#curves", "#network")] == [
        "#findings",
        "#curves",
        "#network",
    ]
    assert "#finding-dead_units" in links
    assert 'model.activation = "elu"' in page.words
    assert "model.activation" not in Page(render_why(health(), title="t")).words, "there is no request to edit"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "findings" not in [a["id"] for a in Page(render_report(report())).all("section")]


# Drawings of series.


def points_of(drawing: str) -> list[list[tuple[float, float]]]:
    paths = re.findall(r'<path d="M(.*?)"', drawing)
    return [[tuple(map(float, p.split())) for p in path.split("L")] for path in paths]  # type: ignore[misc]


def test_a_drawing_has_its_values_at_their_places() -> None:
    drawing = line_plot(LinePlot("T", {"a": [(0, 0.0), (50, 0.5), (100, 1.0)]}, percent=True, threshold=0.5))
    ((first, middle, last),) = points_of(drawing)
    assert middle[0] == pytest.approx((first[0] + last[0]) / 2, abs=0.1)
    assert middle[1] == pytest.approx((first[1] + last[1]) / 2, abs=0.1)
    assert last[1] < first[1], "large is high"
    (line,) = re.findall(r'class="threshold"[^>]* y1="([\d.]+)"', drawing)
    assert float(line) == pytest.approx(middle[1], abs=0.1)
    ((low, mean, high),) = points_of(line_plot(LinePlot("T", {"a": [(0, 1e-6), (1, 1e-3), (2, 1.0)]}, log=True)))
    assert mean[1] == pytest.approx((low[1] + high[1]) / 2, abs=0.2)


def test_long_series_are_thinned_with_their_ends_and_gaps_are_left_out() -> None:
    many = [(step, math.sin(step)) for step in range(1000)] + [(1000, math.nan)]
    ((first, *_, last),) = drawn = points_of(line_plot(LinePlot("T", {"a": many})))
    assert len(drawn[0]) <= 170
    assert (first[0], last[0]) == (46, 370)
    assert line_plot(LinePlot("T", {"a": [(1, math.nan)], "b": []})) == ""
    beside_nothing = line_plot(LinePlot("T", {"a": [], "b": [(0, 1.0), (1, 2.0)]}))
    assert (
        '<span class="l1"><i></i>b</span>' in beside_nothing
    )  # the look and name it has beside the line that is not there
    assert 'class="l0"' not in beside_nothing


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [5.0, 5.0], [-3.0, 2.0], [1e-30, 0.0], [1e30, -1e30]])
@pytest.mark.parametrize("log", [False, True])
def test_any_finite_values_can_be_drawn(values: list[float], log: bool) -> None:
    drawing = line_plot(LinePlot("T", {"a": list(enumerate(values))}, log=log, threshold=1.0))
    for x, y in points_of(drawing)[0]:
        assert 46 <= x <= 370
        assert 9 <= y <= 151
