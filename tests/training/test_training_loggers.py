"""TensorBoard's files hold what metrics.csv holds."""

import importlib.util
import warnings

import pytest

from seewhy import api
from seewhy.core.errors import InputError


def test_tensorboard_logs_every_epoch(tmp_path, shapes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        run = api.train(
            shapes,
            out=tmp_path / "run",
            epochs=2.0,
            width=4,
            batch_size=16,
            precision="fp32",
            **{"train.tensorboard": True},
        )
        events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("epoch/train_loss")]
    assert losses == pytest.approx([row["train_loss"] for row in run.metrics], rel=1e-5)
    assert len(events.Scalars("step/loss")) == run.metrics[-1]["step"]


def test_a_missing_tensorboard_is_said_before_any_work(tmp_path, shapes, monkeypatch):
    monkeypatch.setattr("seewhy.training.loggers.find_spec", lambda name: None)
    assert importlib.util.find_spec("seewhy") is not None
    with pytest.raises(InputError, match=r"train\.tensorboard: needs the package tensorboard"):
        api.train(shapes, out=tmp_path / "run", **{"train.tensorboard": True})
    assert not (tmp_path / "run").exists()
