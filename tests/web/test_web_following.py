"""A run is followed by its events, as they are written, cut and written again."""

import json
import math
import os

import numpy as np
import pytest

from seewhy.web.following import POINTS, Follower, Followers, Series, State, plots, progress, state_name

START = {"event": "run_started", "time": 100.0, "folder": "x", "step": 0, "total_steps": 40, "steps_per_epoch": 10}


def step(number, **metrics):
    return {
        "event": "step_ended",
        "time": 100.0 + number,
        "step": number,
        "epoch": (number - 1) // 10,
        "metrics": metrics or {"loss": 4.0 / number},
        "lr": 0.1,
        "images": 32,
    }


def write(folder, *events, mode="a"):
    with open(folder / "events.jsonl", mode, encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_a_series_keeps_means_over_equal_strides():
    series, values = Series(), np.random.default_rng(0).random(5000)
    for number, value in enumerate(values, start=1):
        series.add(number, float(value))
    points = series.points()
    assert POINTS <= len(points) < 2 * POINTS
    stride = points[0][0]
    assert [at for at, _ in points] == list(range(stride, stride * len(points) + 1, stride))
    means = values[: stride * len(points)].reshape(-1, stride).mean(1)
    np.testing.assert_allclose([value for _, value in points], means)


def test_what_is_not_finite_is_left_out():
    series = Series()
    for number, value in enumerate([1.0, math.nan, math.inf, 2.0]):
        series.add(number, value)
    assert series.points() == [(0, 1.0), (3, 2.0)]


def test_events_are_read_as_they_come(tmp_path):
    follower = Follower(tmp_path)
    assert follower.read().step == 0
    write(tmp_path, START, step(1), step(2))
    assert follower.read().step == 2
    with open(tmp_path / "events.jsonl", "a") as file:
        text = json.dumps(step(3)) + "\n"
        file.write(text[:30])
        file.flush()
        assert follower.read().step == 2
        file.write(text[30:])
    assert follower.read().step == 3
    assert len(follower.read().series["loss"].points()) == 3


@pytest.mark.parametrize("replaced", [True, False])
def test_a_run_that_goes_on_is_read_again_from_the_start(tmp_path, replaced):
    follower = Follower(tmp_path)
    write(
        tmp_path,
        START,
        *(step(number) for number in range(1, 9)),
        {"event": "run_ended", "time": 109.0, "step": 8, "reason": "interrupted"},
    )
    assert follower.read().reason == "interrupted"
    if replaced:
        write(tmp_path / "..", START, step(1), mode="w")
        os.replace(tmp_path / ".." / "events.jsonl", tmp_path / "events.jsonl")
    else:
        write(tmp_path, START, step(1), mode="w")
    state = follower.read()
    assert (state.step, state.reason, len(state.series["loss"].points())) == (1, "", 1)


@pytest.mark.parametrize(
    "line", ["[]", "{}", "null", '{"event": "step_ended"}', '{"event": "epoch_ended", "row": 3}', "\x00", "[" * 5000]
)
def test_lines_that_are_no_events_say_nothing(tmp_path, line):
    write(tmp_path, START, step(1))
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write(line + "\n")
    write(tmp_path, step(2))
    assert Follower(tmp_path).read().step == 2


def test_speed_and_time_left_are_those_of_late(tmp_path):
    state = State()
    state.take(START)
    for number in range(1, 31):
        state.take(step(number))
    assert state.speed() == (1.0, 32.0)
    state.take({"event": "epoch_ended", "time": 131.0, "epoch": 2, "row": {"step": 30}, "best": True})
    state.take({**step(31), "time": 500.0})  # after a long validation
    assert state.speed() == (1.0, 32.0)
    state.take({**step(32), "time": 500.5})
    assert state.speed() == (2.0, 64.0)
    now = progress(tmp_path, state)
    assert now["state"] == "silent"  # the events are of 1970
    assert now["seconds_left"] is None
    assert (now["step"], now["total"], now["epoch"], now["epochs"]) == (32, 40, 4, 4)


def test_how_a_run_is(tmp_path):
    state = State()
    state.take({**START, "time": 1000.0})
    assert state_name(tmp_path, state, now=1010.0) == "training"
    assert state_name(tmp_path, state, now=2000.0) == "silent"
    state.take({"event": "run_ended", "time": 1020.0, "step": 4, "reason": "finished"})
    assert state_name(tmp_path, state, now=1030.0) == "evaluating"
    state.take({"event": "run_ended", "time": 1020.0, "step": 4, "reason": "interrupted"})
    assert state_name(tmp_path, state, now=1030.0) == "stopped"
    (tmp_path / "results.json").write_text("{}")
    assert state_name(tmp_path, state, now=1030.0) == "ended"


def test_members_of_an_ensemble_keep_it_alive(tmp_path):
    member = tmp_path / "members" / "01"
    member.mkdir(parents=True)
    write(member, START)
    os.utime(member / "events.jsonl", (5000, 5000))
    state = State()
    state.take({"event": "members_started", "time": 1000.0, "folder": "x", "total": 3, "done": 1})
    state.take({"event": "member_ended", "time": 1001.0, "index": 2, "total": 3, "split": None, "accuracy": None})
    assert state.members == (2, 3)
    assert state_name(tmp_path, state, now=5010.0) == "training"


def test_curves_have_both_splits():
    state = State()
    state.take(START)
    for number in range(1, 11):
        state.take(step(number, loss=1.0 / number, accuracy=0.5))
    row = {
        "epoch": 1,
        "step": 10,
        "train_loss": 0.5,
        "val_loss": 0.25,
        "val_accuracy": 0.75,
        "val_macro_f1": 0.7,
        "lr": 0.1,
    }
    state.take({"event": "epoch_ended", "time": 111.0, "epoch": 0, "row": row, "best": True})
    drawn = {plot.title: plot for plot in plots(state)}
    assert set(drawn) == {"loss", "accuracy", "macro_f1", "lr"}
    assert drawn["loss"].lines["validation"] == [(10, 0.25)]
    assert len(drawn["loss"].lines["training"]) == 10
    assert [drawn[name].percent for name in ("accuracy", "macro_f1", "loss")] == [True, True, False]


def test_figures_of_a_batch_are_not_taken_for_those_of_the_run(tmp_path):
    state = State()
    state.take(START)
    state.take(step(1, loss=0.12345, accuracy=0.5, kl=3.0))
    assert progress(tmp_path, state)["metrics"] == [
        ["Training loss", "0.1235"],
        ["Training accuracy", "50.0%"],
        ["Training KL", "3"],
    ]


def test_a_real_run_is_followed_to_its_end(home):
    state = Followers().of(home / "runs" / "mlp").read()
    assert state.step == state.total > 0
    assert state.reason == "finished"
    assert {"loss", "accuracy"} <= set(state.series)
    assert state.plan
