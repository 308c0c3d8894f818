"""`stop`: from a callable or another thread, in any thread, it ends a run with a checkpoint from which it goes on to the same bits."""

import os
import signal
import threading

import pytest

import seewhy
from run_cases import MLP, assert_same_bits
from seewhy import api
from seewhy.core.errors import RunError
from seewhy.runs import stopping
from seewhy.runs.stopping import LAUNCHER, InterruptedRun, InterruptedRunError, ask_to_stop, stop_requests
from seewhy.training.events import RunStarted

OPTIONS = {**MLP, "epochs": 2.0, "batch_size": 200, "dropout": 0.2, "ema": 0.9}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run, never interrupted."""
    return api.train("digits", out=tmp_path_factory.mktemp("stop") / "whole", **OPTIONS)


def asked_after(count):
    """Return a callable that says True when it is asked for the `count`th time."""
    asked = []

    def stop():
        asked.append(None)
        return len(asked) >= count

    return stop


def test_a_callable_stops_after_its_step_and_the_run_goes_on_to_the_same_bits(whole, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(InterruptedRunError) as caught:
        api.train("digits", out=folder, stop=asked_after(3), **OPTIONS)
    error = caught.value
    assert (error.folder, error.done, error.total) == (folder, 3, 14)
    assert str(error) == f"stopped at step 3 of 14; go on with: seewhy train --resume {folder}"
    assert isinstance(error, seewhy.RunError)
    run = seewhy.Run(folder)
    assert run.checkpoints.load("last").step == 3
    assert run.results == {}
    assert run.events[-1]["event"] == "run_ended"
    assert run.events[-1]["reason"] == "interrupted"
    with pytest.raises(InterruptedRunError, match="stopped at step 8 of 14"):  # again, in the second epoch
        api.resume(folder, stop=asked_after(5))
    finished = api.resume(folder, stop=lambda: False)
    assert_same_bits(folder, whole.folder)
    assert finished.results == whole.results
    steps = [event["step"] for event in finished.events if event["event"] == "step_ended"]
    assert steps == list(range(1, 15))


def test_another_thread_stops_it(whole, tmp_path):
    stop, reached, asked = threading.Event(), threading.Event(), threading.Event()

    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 4:
            reached.set()
            asked.wait()

    def ask():
        reached.wait()
        stop.set()
        asked.set()

    thread = threading.Thread(target=ask)
    thread.start()
    with pytest.raises(InterruptedRunError, match="stopped at step 4 of 14"):
        api.train("digits", out=tmp_path / "run", stop=stop.is_set, observers=[observer], **OPTIONS)
    thread.join()
    api.resume(tmp_path / "run")
    assert_same_bits(tmp_path / "run", whole.folder)


def test_a_run_in_another_thread_is_stopped_and_goes_on_there(whole, tmp_path):
    """Signal handlers can be set in the main thread alone: elsewhere only `stop` is asked."""
    errors = []

    def work():
        try:
            api.train("digits", out=tmp_path / "run", stop=asked_after(7), **OPTIONS)
        except InterruptedRunError as error:
            errors.append(error)
        api.resume(tmp_path / "run")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [error.done for error in errors] == [7]
    assert_same_bits(tmp_path / "run", whole.folder)


def test_a_file_in_the_folder_stops_it_once(whole, tmp_path, monkeypatch):
    """Whoever can write there may ask; what was asked of one process is not asked of the next."""
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.0)
    folder = tmp_path / "run"

    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 5:
            ask_to_stop(folder)

    with pytest.raises(InterruptedRunError, match="stopped at step 5 of 14"):
        api.train("digits", out=folder, observers=[observer], **OPTIONS)
    assert not (folder / stopping.ASKED).exists()
    ask_to_stop(folder)  # nobody was there to answer
    api.resume(folder)
    assert_same_bits(folder, whole.folder)
    assert not (folder / stopping.ASKED).exists()


def test_the_file_is_looked_for_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now)
    now = 100.0
    with stop_requests(folder=tmp_path) as asked:
        assert not asked()
        ask_to_stop(tmp_path)
        now = 100.9
        assert not asked()
        now = 101.1
        assert asked()


def test_a_stop_in_the_last_step_comes_too_late(whole, tmp_path):
    run = api.train("digits", out=tmp_path / "run", stop=asked_after(14), **OPTIONS)
    assert run.results == whole.results


def test_a_stop_that_raises_is_not_hidden(tmp_path):
    def stop():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        api.train("digits", out=tmp_path / "run", stop=stop, **OPTIONS)


def test_the_second_signal_stops_at_once():
    with stop_requests() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_a_keyboard_interrupt_that_no_except_exception_swallows(whole, tmp_path):
    """A loop over runs that goes on after errors must end at Ctrl-C."""

    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 5:
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "run"
    with pytest.raises(InterruptedRun) as caught:
        api.train("digits", out=folder, observers=[observer], **OPTIONS)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert not isinstance(caught.value, Exception)
    assert str(caught.value) == f"stopped at step 5 of 14; go on with: seewhy train --resume {folder}"
    api.resume(folder)
    assert_same_bits(folder, whole.folder)


def test_a_launched_run_stops_when_its_launcher_has_ended(whole, tmp_path, monkeypatch):
    """Killed by SIGKILL, a launcher can tell its runs nothing."""
    monkeypatch.setenv(LAUNCHER, str(os.getppid()))
    run = api.train("digits", out=tmp_path / "run", **OPTIONS)
    assert run.results == whole.results

    def orphan(event):
        if isinstance(event, RunStarted):
            monkeypatch.setenv(LAUNCHER, str(os.getpid()))  # any process that is not the parent

    with pytest.raises(InterruptedRunError, match="stopped at step 1 of 14"):
        api.train("digits", out=tmp_path / "orphan", observers=(orphan,), **OPTIONS)
    with pytest.raises(RunError, match="is not started, for the process that launched it has ended"):
        api.train("digits", out=tmp_path / "second", **OPTIONS)
    assert not (tmp_path / "second").exists()
    monkeypatch.delenv(LAUNCHER)
    api.resume(tmp_path / "orphan")
    assert_same_bits(tmp_path / "orphan", whole.folder)
