"""Trajectories: contours lie at their heights, the figure's and the page's data are the record's, the page loads nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from seewhy.core.errors import InputError
from seewhy.reporting.contours import contour_levels, contour_lines, relative_height
from seewhy.reporting.trajectories import Trajectory, TrajectoryRecord, tint_data_uri, trajectory_chart
from seewhy.reporting.trajectory_page import render_trajectories

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"' {{ 7 * 7 }} \u202e"


def bowl(x, y):
    return x**2 + 4 * y**2


def spiral(length, name="spiral", scale=1.5):
    angles = np.linspace(0, 6, length)
    points = scale * np.stack([np.cos(angles), 0.5 * np.sin(angles)], axis=1) * np.exp(-angles)[:, None]
    return Trajectory(name, points, bowl(*points.T))


def record(*trajectories, **fields):
    x, y = np.linspace(-2, 2, 41), np.linspace(-1, 1, 31)
    grid = {"x": x, "y": y, "values": bowl(*np.meshgrid(x, y))}
    named = {"title": "A bowl", "marks": [("minimum", 0.0, 0.0)], "minimum": 0.0}
    return TrajectoryRecord(
        **{**grid, **named, "trajectories": trajectories or (spiral(20), spiral(50, "slow")), **fields}
    )


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.elements, self.stack, self.scripts, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.stack.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text():
    return render_trajectories([record(), record(title="Another")], title="Two bowls")


def test_contours_of_a_bowl_are_ellipses():
    x, y = np.linspace(-2, 2, 81), np.linspace(-1, 1, 61)
    (line,) = contour_lines(x, y, bowl(*np.meshgrid(x, y)), 1.0)
    np.testing.assert_allclose(bowl(*line.T), 1.0, atol=0.01)
    np.testing.assert_array_equal(line[0], line[-1])
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert length == pytest.approx(4.8442, rel=0.01)  # half axes 1 and 1/2


def test_contours_join_and_part_at_a_saddle_by_its_middle():
    """Opposite corners are high; whether they are joined follows the mean of the four."""
    corner = np.arange(2.0)
    for middle, joined in ((0.9, True), (-0.9, False)):
        values = np.array([[1.0 + middle, -1.0 + middle], [-1.0 + middle, 1.0 + middle]])
        lines = contour_lines(corner, corner, values, 0.0)
        assert len(lines) == 2
        # Joined high corners (0, 0) and (1, 1) leave lines that cut off (1, 0) and (0, 1): x and y differ along them.
        cut_off_low = all(abs(line[:, 0].mean() - line[:, 1].mean()) > 0.2 for line in lines)
        assert cut_off_low == joined


def test_contours_leave_out_what_is_not_finite_and_end_at_the_border():
    x, y = np.linspace(0, 1, 11), np.linspace(0, 1, 11)
    values = np.add.outer(np.zeros(11), x)
    (line,) = contour_lines(x, y, values, 0.55)
    np.testing.assert_allclose(line[:, 0], 0.55)
    assert {line[0, 1], line[-1, 1]} == {0.0, 1.0}
    values[5, 5] = np.nan
    assert len(contour_lines(x, y, values, 0.55)) == 2
    assert contour_lines(x, y, np.full((11, 11), 3.0), 3.0) == []


def test_heights_are_dense_where_the_function_is_low():
    values = np.geomspace(1e-3, 1e4, 400).reshape(20, 20)
    found = contour_levels(values)
    assert len(found) == 14
    assert (np.diff(found, 2) > 0).all()
    assert values.min() < found[0] < found[-1] < values.max()
    shares = relative_height(values)
    assert shares.min() == 0
    assert shares.max() == 1
    assert np.isfinite(contour_levels(np.full((3, 3), 2.0))).all()


def test_the_tint_is_deepest_at_the_minimum_and_right_side_up():
    x, y = np.linspace(-2, 2, 41), np.linspace(-1, 1, 31)
    uri = tint_data_uri(record(values=bowl(x[None, :], y[:, None] + 0.9)))  # lowest in the first row
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert image.shape == (31, 41, 4)
    assert np.unravel_index(image[..., 3].argmax(), (31, 41))[0] >= 28  # drawn at the bottom
    assert image[..., 3].min() < 10


def test_the_figures_data_are_the_record():
    given = record()
    datasets = trajectory_chart(given).to_dict()["datasets"].values()
    points = [row for rows in datasets for row in rows if "order" in row and "method" in row]
    for trajectory in given.trajectories:
        drawn = {row["order"]: (row["x"], row["y"]) for row in points if row["method"] == trajectory.name}
        np.testing.assert_array_equal([drawn[i] for i in range(len(drawn))], trajectory.points)
    falls = [row for rows in datasets for row in rows if "step" in row and row["method"] == "spiral"]
    np.testing.assert_allclose([row["value"] for row in falls], given.trajectories[0].values)
    levels = {row["line"].split(".")[0] for rows in datasets for row in rows if "line" in row}
    assert len(levels) == 14
    json.dumps(list(datasets), allow_nan=False)


def test_the_page_holds_the_trajectories(text):
    page = Page(text)
    data = [json.loads(script) for script in page.scripts if script.startswith("{")]
    assert len(data) == 2
    given = record()
    for trajectory, drawn in zip(given.trajectories, data[0]["trajectories"], strict=True):
        assert drawn["at"] == list(range(len(trajectory.points)))
        np.testing.assert_allclose(drawn["v"], trajectory.values, rtol=1e-4)
        # x from -2 to 2 lies on 46 to 472, y from -1 to 1 on 366 to 10.
        np.testing.assert_allclose(drawn["x"], 46 + (trajectory.points[:, 0] + 2) / 4 * 426, atol=0.06)
        np.testing.assert_allclose(drawn["y"], 366 - (trajectory.points[:, 1] + 1) / 2 * 356, atol=0.06)
    assert data[0]["frames"] == list(range(50))
    words = " ".join(" ".join(page.words).split())
    for said in (
        "Two bowls",
        "A bowl",
        "Another",
        "spiral",
        "slow",
        "minimum",
        "value above the minimum over iterations",
    ):
        assert said in words


def test_the_page_loads_nothing(text):
    page = Page(text)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action"):
            given = attributes.get(name, "#")
            assert given.startswith(("#", "data:image/png;base64,")), given
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    for attributes, script in zip(page.all("script"), page.scripts, strict=True):
        if attributes.get("type") != "application/json":
            assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_everything_can_be_reached_and_has_a_name(text):
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) == 4
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    assert all(slider["type"] == "range" and slider["aria-label"] for slider in page.all("input"))
    assert all(button["type"] == "button" for button in page.all("button"))
    assert sum(button.get("aria-pressed") == "true" for button in page.all("button")) == 4


def test_hostile_names_stay_text():
    given = record(
        spiral(5, HOSTILE),
        title=HOSTILE,
        text=HOSTILE,
        marks=[(HOSTILE, 0, 0)],
        axes=(HOSTILE, HOSTILE),
        step_name=HOSTILE,
    )
    page = Page(render_trajectories([given], title=HOSTILE))
    assert len(page.scripts) == 3
    assert not page.all("img")
    assert "{{ 7 * 7 }}" in " ".join(page.words)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_long_trajectories_are_thinned_and_broken_ones_cut():
    long = spiral(5000, "long")
    broken = spiral(30, "broken")
    broken.points[20:] = np.inf
    lost = Trajectory("lost", np.full((3, 2), np.nan), np.full(3, np.nan))
    far = Trajectory("far", np.array([[0, 1], [1e200, 1e300]]), np.array([4.0, 1e300]))
    text = render_trajectories([record(long, broken, lost, far)])
    data = next(json.loads(script) for script in Page(text).scripts if script.startswith("{"))
    assert len(data["frames"]) <= 240
    assert (data["frames"][0], data["frames"][-1]) == (0, 4999)
    at = data["trajectories"][0]["at"]
    assert len(at) <= 600
    assert at[:200] == list(range(200))
    assert at[-1] == 4999
    assert [len(trajectory["at"]) for trajectory in data["trajectories"][1:]] == [20, 0, 2]
    assert (
        max(abs(position) for trajectory in data["trajectories"] for position in trajectory["x"] + trajectory["y"])
        < 1e5
    )
    assert text.count("then not finite") == 2
    json.dumps(trajectory_chart(record(long, broken, lost)).to_dict(), allow_nan=False)


def test_values_without_a_minimum_or_below_zero_are_drawn_linearly():
    def ordinate(**fields):
        trajectory = Trajectory("t", np.zeros((3, 2)), np.array([100.0, 1.0, -1.0]))
        chart = trajectory_chart(record(trajectory, **fields)).to_dict()
        return chart["hconcat"][1]["encoding"]["y"]["scale"]["type"]

    assert ordinate(minimum=None) == "linear"
    assert ordinate(minimum=-1.0) == "log"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": np.zeros((3, 4))}, r"values of 'A bowl': must be \[H, W\] = \[31, 41\]"),
        ({"x": np.zeros(41)}, "x of 'A bowl': must be finite and ascending"),
        ({"values": np.full((31, 41), np.nan)}, "values of 'A bowl': must be finite somewhere"),
        ({"trajectories": [spiral(3), spiral(4)]}, "trajectories of 'A bowl': must be named differently"),
        ({"trajectories": [spiral(3, str(k)) for k in range(9)]}, "trajectories of 'A bowl': must be 1 to 8, got 9"),
    ],
)
def test_bad_records_raise(fields, message):
    with pytest.raises(InputError, match=message):
        record(**fields)


def test_bad_trajectories_and_no_records_raise():
    with pytest.raises(
        InputError, match=r"trajectory 'a': must be points \[T, 2\] and values \[T\], got \[3, 2\] and \[2\]"
    ):
        Trajectory("a", np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(InputError, match="records: must be at least one"):
        render_trajectories([])
