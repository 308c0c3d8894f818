"""Trackers hold what the run's own files hold, in their own offline modes; one that fails never stops a run."""

import json
import struct
import warnings

import pytest

from seewhy import api
from seewhy.core.errors import InputError
from seewhy.training import loggers


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


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_said_before_any_work(name, tmp_path, shapes, monkeypatch):
    monkeypatch.setattr("seewhy.training.loggers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"train\.{name}: needs the package {name}.*pip install 'seewhy\[{name}\]'"):
        api.train(shapes, out=tmp_path / "run", **{f"train.{name}": True})
    assert not (tmp_path / "run").exists()


class Recorder:
    """A logger that keeps what it is told, and fails where it is told to."""

    def __init__(self, fails=None):
        self.calls, self.fails = [], fails

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name == self.fails:
                raise ConnectionError("the server is gone")

        return call

    def of(self, name):
        return [arguments for called, *arguments in self.calls if called == name]


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(loggers, "LOGGERS", {"tensorboard": lambda: recorder})
    return recorder


TINY = {"width": 4, "batch_size": 16, "precision": "fp32"}


def test_a_logger_is_told_of_the_whole_run(tmp_path, shapes, recorder):
    run = api.train(
        shapes, out=tmp_path / "run", epochs=2.0, model="mlp", norm="none", dropout=0.95, tensorboard=True, **TINY
    )
    [[folder, spec, step]] = recorder.of("start")
    assert (folder, spec, step) == (run.folder, run.spec, 0)
    told = {name: value for values, _ in recorder.of("scalars") for name, value in values.items()}
    assert told["epoch/val_loss"] == run.metrics[-1]["val_loss"]
    assert told["final/test_accuracy"] == run.results["test"]["accuracy"]
    steps = [step for values, step in recorder.of("scalars") if "step/loss" in values]
    assert steps == list(range(1, int(run.metrics[-1]["step"]) + 1))
    found = {event["finding"]["code"] for event in run.events if event["event"] == "found"}
    assert found
    assert {name for name, *_ in recorder.of("text")} == {f"findings/{code}" for code in found}
    images = [path for _, path, _ in recorder.of("image")]
    assert images == sorted(set(images))
    assert {path.parent.name for path in images} == {"augmented", "samples"}
    assert [name for name, *_ in recorder.calls].count("close") == 1
    assert recorder.of("close") == [["finished"]]


def test_frames_of_a_generative_model_come_as_they_are_made(tmp_path, recorder):
    run = api.train("digits", out=tmp_path / "run", model="autoencoder", epochs=2.0, tensorboard=True, width=8)
    images = [(name, path.name, step) for name, path, step in recorder.of("image") if path.parent.name == "frames"]
    first, second = (int(row["step"]) for row in run.metrics)
    assert images == [("frames", "epoch-0001.png", first), ("frames", "epoch-0002.png", second)]
    assert any(path.parent.name == "generated" for _, path, _ in recorder.of("image"))


@pytest.mark.parametrize("fails", ["start", "scalars", "image", "close"])
def test_a_failing_tracker_warns_once_and_the_run_ends(fails, tmp_path, shapes, recorder):
    recorder.fails = fails
    with pytest.warns(RuntimeWarning) as said:
        run = api.train(shapes, out=tmp_path / "run", epochs=1.0, tensorboard=True, **TINY)
    assert run.ended
    [warning] = [str(one.message) for one in said if "tensorboard" in str(one.message)]
    assert warning.startswith("train.tensorboard: ConnectionError: the server is gone; the run goes on without")
    assert len(recorder.of(fails)) == 1


def test_a_tracker_is_told_how_a_run_was_stopped(tmp_path, shapes, recorder):
    with pytest.raises(RuntimeError):
        api.train(shapes, out=tmp_path / "run", epochs=2.0, tensorboard=True, stop=lambda: True, **TINY)
    assert recorder.of("close") == [["interrupted"]]
    recorder.calls.clear()

    def broken(event):
        if type(event).__name__ == "StepEnded":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        api.resume(tmp_path / "run", observers=[broken])
    assert recorder.of("start")[0][2] == 1
    assert recorder.of("close") == [["failed"]]


def test_a_run_that_fails_after_its_training_has_failed(tmp_path, shapes, recorder):
    def broken(event):
        if type(event).__name__ == "Evaluated" and event.split == "test":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        api.train(shapes, out=tmp_path / "run", epochs=1.0, tensorboard=True, observers=[broken], **TINY)
    assert recorder.of("close") == [["failed"]]


def test_wandb_keeps_a_run_offline(tmp_path, shapes, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install 'seewhy[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wandb's own imports
        run = api.train(shapes, out=tmp_path / "run", epochs=2.0, wandb=True, **TINY)
        history, config = wandb_records(run.folder)
    assert config["optim.lr"] == run.spec.optim.lr
    losses = [row["epoch/train_loss"] for row in history if "epoch/train_loss" in row]
    assert losses == pytest.approx([row["train_loss"] for row in run.metrics])
    assert len([row for row in history if "step/loss" in row]) == run.metrics[-1]["step"]
    assert [row["final/test_accuracy"] for row in history if "final/test_accuracy" in row] == [
        run.results["test"]["accuracy"]
    ]
    assert any("augmented" in name for row in history for name in row)
    assert json.loads((run.folder / "trackers.json").read_text())["wandb"]


def wandb_records(folder):
    """Return the rows of history and the configuration that an offline run has kept."""
    from wandb.proto import wandb_internal_pb2

    [file] = folder.glob("wandb/offline-run-*/*.wandb")
    history, config = [], {}
    for data in log_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        for item in record.run.config.update if kind == "run" else ():
            config[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return history, config


def log_records(log):
    """Yield the records of a log in LevelDB's format: blocks of 32 KiB that hold pieces, each with a checksum, a length and a kind."""
    at, record = 7, b""  # after the file's own head
    while at + 7 <= len(log):
        length, kind = struct.unpack_from("<4xHB", log, at)
        left = 32768 - at % 32768
        if left < 7 or kind == 0:
            at += left
            continue
        record += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


def test_mlflow_keeps_a_run_and_goes_on_with_it(tmp_path, shapes, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'seewhy[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shapes")
    monkeypatch.chdir(tmp_path)  # where it keeps artifacts

    def stop(event):
        if type(event).__name__ == "StepEnded" and event.step == 8:  # two steps after the checkpoint of the first epoch
            raise KeyboardInterrupt

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow's own imports
        options = {"train.checkpoint_seconds": 1e9, "mlflow": True, "epochs": 2.0, **TINY}
        with pytest.raises(KeyboardInterrupt):
            api.train(shapes, out=tmp_path / "run", observers=[stop], **options)
        run = api.resume(tmp_path / "run")
        client = mlflow.MlflowClient()
        [kept] = client.search_runs([client.get_experiment_by_name("shapes").experiment_id])
        steps = [metric.step for metric in client.get_metric_history(kept.info.run_id, "step/loss")]
        rows = [metric.value for metric in client.get_metric_history(kept.info.run_id, "epoch/train_loss")]
        files = {file.path for file in client.list_artifacts(kept.info.run_id)}
    assert kept.info.status == "FINISHED"
    assert sorted(steps) == list(range(1, int(run.metrics[-1]["step"]) + 1))
    assert rows == pytest.approx([row["train_loss"] for row in run.metrics])
    assert kept.data.params["optim.lr"] == str(run.spec.optim.lr)
    assert kept.data.metrics["final/test_accuracy"] == run.results["test"]["accuracy"]
    assert {"spec.toml", "augmented"} <= files
