"""Shared by the tests of training and of runs: tiny runs, and their weights bit by bit."""

import json

import torch
from safetensors.torch import load_file

MLP = {"model": "mlp", "width": 16, "depth": 1, "precision": "fp32", "train.threads": 1}
"""A run of a third of a second an epoch on the digits."""


def final_weights(folder):
    """Return all tensors of a run's last checkpoint, averaged ones too, by file and name."""
    place = folder / "checkpoint" / json.loads((folder / "checkpoint" / "last.json").read_text())["folder"]
    kinds = {"model": "model", "frozen": "model", "average": "average"}
    files = {place / f"{file}.safetensors": kind for file, kind in kinds.items()}
    return {
        f"{kind}/{name}": value
        for file, kind in files.items()
        if file.exists()
        for name, value in load_file(file).items()
    }


def assert_same_bits(folder, reference):
    """Compare all weights, and all of metrics.csv but the speed and the seconds."""
    weights, expected = final_weights(folder), final_weights(reference)
    assert weights.keys() == expected.keys()
    different = [name for name, value in expected.items() if not torch.equal(weights[name], value)]
    assert not different
    rows = [
        [row.split(",")[:-2] for row in (each / "metrics.csv").read_text().split("\n")] for each in (folder, reference)
    ]
    assert rows[0] == rows[1]


def kinds(events):
    """Return the names of events as events.jsonl has them, without the decoding of the data."""
    return [name for event in events if (name := event.to_json()["event"]) != "data_progress"]


def raise_at(step):
    """Return an observer that raises KeyboardInterrupt after a step, which ends a run without its saving anything."""

    def observe(event):
        if type(event).__name__ == "StepEnded" and event.step == step:
            raise KeyboardInterrupt

    return observe


def stop_after(steps):
    """Return a `stop` that ends a run after so many steps, with a checkpoint."""
    calls = []

    def stop():
        calls.append(None)
        return len(calls) == steps

    return stop
