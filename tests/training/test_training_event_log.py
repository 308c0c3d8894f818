"""events.jsonl: valid JSON whatever the figures, no step missing or double after a death anywhere."""

import json
import math
from pathlib import Path

import pytest

from run_cases import MLP, kinds, raise_at
from seewhy import api
from seewhy.training.event_log import FILE, EventLog, read_events
from seewhy.training.events import (
    DataProgress,
    EpochEnded,
    Evaluated,
    GradientsReady,
    OptimizerStepped,
    Saved,
    StepEnded,
    emitter,
)


def step_events(step):
    return [GradientsReady(step, "model"), OptimizerStepped(step, "model"), StepEnded(step, 0, {"loss": 1.0}, 0.1, 8)]


def epoch_events(step, folder):
    metrics = {"loss": 1.0}
    return [
        Evaluated(step, "val", metrics),
        Saved(step, folder),
        EpochEnded(0, {"epoch": 1, "step": step, "val_loss": 1.0}, True),
    ]


def written(folder):
    return [json.loads(line, parse_constant=pytest.fail) for line in (folder / FILE).read_text().splitlines()]


def test_figures_that_are_not_finite_are_words(tmp_path):
    log = EventLog()
    log(DataProgress(1, 2))  # before there is a folder
    log.open(tmp_path, 0)
    log(StepEnded(1, 0, {"loss": math.nan, "accuracy": -math.inf}, math.inf, 8))
    log(Evaluated(1, "val", {"interval": [0.1, math.nan]}))
    log(Saved(1, Path("checkpoint") / "step-1"))
    log.close()
    first, second, third, fourth = written(tmp_path)
    assert (first["event"], first["done"]) == ("data_progress", 1)
    assert second["metrics"] == {"loss": "nan", "accuracy": "-inf"}
    assert third["metrics"] == {"interval": [0.1, "nan"]}
    assert Path(fourth["folder"]) == Path("checkpoint") / "step-1"


def test_a_line_can_be_read_when_its_step_has_ended(tmp_path):
    """Before a checkpoint of the step can be saved: a killed process has told all that led to what it goes on from."""
    log = EventLog()
    log.open(tmp_path, 0)
    for step in (1, 2):
        for event in step_events(step):
            log(event)
        assert [event["step"] for event in read_events(tmp_path)] == [
            number for number in range(1, step + 1) for _ in range(3)
        ]
    log.close()


TOLD = {0: 0, 1: 3, 2: 7}
"""Lines that stand there before the checkpoint of a step can be on the disk."""


@pytest.mark.parametrize(("checkpoint", "cut"), [(step, cut) for step in TOLD for cut in range(TOLD[step] or 1, 13)])
def test_after_a_death_at_any_line_every_step_stands_there_once(checkpoint, cut, tmp_path):
    folder = tmp_path / "checkpoint"
    whole = [*step_events(1), *step_events(2), *epoch_events(2, folder), *step_events(3)]
    log = EventLog()
    log.open(tmp_path, 0)
    for event in whole[:cut]:
        log(event)
    log.close()
    with open(tmp_path / FILE, "a") as file:
        file.write('{"time": 1.0, "event": "step_en')  # half a line
    again = EventLog()
    at_checkpoint = {0: (), 1: (Saved(1, folder),), 2: (*epoch_events(2, folder)[1:],)}[checkpoint]
    again.open(tmp_path, checkpoint, at_checkpoint)
    for event in whole[{0: 0, 1: 3, 2: 9}[checkpoint] :]:
        again(event)
    again.close()
    lines = written(tmp_path)
    expected = [event.to_json() for event in whole]
    if checkpoint == 1:
        expected.insert(3, Saved(1, folder).to_json())
    assert [{name: value for name, value in line.items() if name != "time"} for line in lines] == expected


def test_a_run_that_goes_on_tells_every_step_once(tmp_path):
    options = {**MLP, "epochs": 2.0, "batch_size": 500}
    whole = api.train("digits", out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=tmp_path / "run", observers=[raise_at(5)], **options)  # two steps after the checkpoint
    events = []
    run = api.resume(tmp_path / "run", observers=[events.append])
    steps = [
        (event["event"], event["step"], event.get("metrics")) for event in run.events if event["event"] == "step_ended"
    ]
    assert steps == [
        (event["event"], event["step"], event.get("metrics"))
        for event in whole.events
        if event["event"] == "step_ended"
    ]
    told = [event["event"] for event in run.events if event["event"] not in ("data_progress", "planned", "run_started")]
    assert told == [
        event["event"] for event in whole.events if event["event"] not in ("data_progress", "planned", "run_started")
    ]
    started = [event["step"] for event in run.events if event["event"] == "run_started"]
    assert started == [0, 3]
    assert kinds(events)[:2] == ["planned", "run_started"]


def test_a_death_between_checkpoint_and_epochs_end_loses_no_epoch(tmp_path):
    def die(event):
        if isinstance(event, Saved) and event.step == 3:
            raise KeyboardInterrupt

    options = {**MLP, "epochs": 2.0, "batch_size": 500}
    with pytest.raises(KeyboardInterrupt):
        api.train("digits", out=tmp_path / "run", observers=[die], **options)
    run = api.resume(tmp_path / "run")
    assert [event["row"]["epoch"] for event in run.events if event["event"] == "epoch_ended"] == [1, 2]
    assert [event["step"] for event in run.events if event["event"] == "saved"] == [3, 6]


def test_there_may_be_no_file_and_lines_of_others(tmp_path):
    assert read_events(tmp_path) == []
    (tmp_path / FILE).write_text('[1]\n{"event": "a"}\nnonsense\n{"event": "b"')
    assert read_events(tmp_path) == [{"event": "a"}]


def test_an_observers_exception_is_not_hidden():
    told = []

    def raising(event):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        emitter((told.append, raising, told.append))(DataProgress(1, 1))
    assert len(told) == 1
