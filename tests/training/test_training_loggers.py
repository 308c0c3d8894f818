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


def test_a_resumed_run_logs_no_step_twice(tmp_path, shapes):
    def stop(event):
        if type(event).__name__ == "StepEnded" and event.step == 8:  # two steps after the checkpoint of the first epoch
            raise KeyboardInterrupt

    options = {"epochs": 2.0, "width": 4, "batch_size": 16, "precision": "fp32", "train.checkpoint_seconds": 1e9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own imports, and the writer that was not closed
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        with pytest.raises(KeyboardInterrupt):
            api.train(shapes, out=tmp_path / "run", observers=[stop], tensorboard=True, **options)
        run = api.resume(tmp_path / "run")
        events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    last = int(run.metrics[-1]["step"])
    assert [event.step for event in events.Scalars("step/loss")] == list(range(1, last + 1))
    assert [event.step for event in events.Scalars("epoch/train_loss")] == [last // 2, last]


def test_a_missing_tensorboard_is_said_before_any_work(tmp_path, shapes, monkeypatch):
    monkeypatch.setattr("seewhy.training.loggers.find_spec", lambda name: None)
    assert importlib.util.find_spec("seewhy") is not None
    with pytest.raises(InputError, match=r"train\.tensorboard: needs the package tensorboard"):
        api.train(shapes, out=tmp_path / "run", **{"train.tensorboard": True})
    assert not (tmp_path / "run").exists()
