"""Global state is the caller's: nothing of it is changed, whatever ends the work, and none of it changes the work."""

import logging
import os
import random
import signal
import threading
import warnings

import numpy as np
import pytest
import torch

import seewhy
from run_cases import MLP, final_weights
from seewhy import api
from seewhy.runs.stopping import InterruptedRun, InterruptedRunError
from seewhy.training.state import isolated, training

STATES = {
    "torch's random state": lambda: torch.get_rng_state().numpy().tobytes(),
    "numpy's random state": lambda: repr(np.random.get_state()),  # noqa: NPY002
    "python's random state": random.getstate,
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "threads": torch.get_num_threads,
    "precision of products": torch.get_float32_matmul_precision,
    "gradient mode": torch.is_grad_enabled,
    "inference mode": torch.is_inference_mode_enabled,
    "autocast": lambda: torch.is_autocast_enabled("cpu"),
    "anomaly detection": torch.is_anomaly_enabled,
    "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "cudnn's benchmark": lambda: torch.backends.cudnn.benchmark,
    "warnings' filters": lambda: list(warnings.filters),
    "signal handlers": lambda: [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    "logging": lambda: [logging.getLogger(name).level for name in ("", "lightning_fabric", "torch")],
    "environment": lambda: {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
    "working directory": os.getcwd,
    "numpy's errors": np.geterr,
}
OPTIONS = {**MLP, "epochs": 1.0, "batch_size": 200, "dropout": 0.2, "reg.brightness": 0.1}


def states():
    return {name: read() for name, read in STATES.items()}


def changed(before):
    now = states()
    return [name for name in STATES if now[name] != before[name]]


@pytest.fixture
def unusual():
    """A caller whose state is not the usual one, so that nothing is right by chance."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    level = logging.getLogger("lightning_fabric").level
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("high")
    logging.getLogger("lightning_fabric").setLevel(logging.INFO)
    torch.manual_seed(11)
    np.random.seed(12)  # noqa: NPY002
    random.seed(13)
    yield states()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    logging.getLogger("lightning_fabric").setLevel(level)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run by a caller of the usual state."""
    folder = tmp_path_factory.mktemp("state") / "run"
    return api.train("digits", out=folder, **OPTIONS)


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 20, 11), dtype=np.uint8)

WORK = {
    "train": lambda run, out: api.train("digits", out=out, **OPTIONS),
    "train at bf16": lambda run, out: api.train("digits", out=out, **{**OPTIONS, "precision": "bf16"}),
    "train a search": lambda run, out: api.train(
        "digits", out=out, **{**OPTIONS, "optimizer": "lbfgs", "norm": "none"}
    ),
    "resume": lambda run, out: api.resume(run.folder),
    "predict": lambda run, out: seewhy.Run(run.folder).predict(list(IMAGES)),
    "predict with samples": lambda run, out: seewhy.Run(run.folder).predict(list(IMAGES), samples=3),
    "predictor": lambda run, out: seewhy.Run(run.folder).predictor,
    "model": lambda run, out: seewhy.Run(run.folder).model,
    "engine": lambda run, out: seewhy.Run(run.folder).engine,
    "evaluate": lambda run, out: seewhy.Run(run.folder).evaluate(),
    "report": lambda run, out: seewhy.Run(run.folder).report(),
    "check": lambda run, out: api.check("digits"),
}


@pytest.mark.parametrize("work", WORK)
def test_nothing_global_is_changed(work, plain, unusual, tmp_path):
    WORK[work](plain, tmp_path / "run")
    assert changed(unusual) == []


def test_nothing_is_changed_after_an_exception_inside(unusual, tmp_path):
    def observer(event):
        if type(event).__name__ == "StepEnded":
            torch.manual_seed(99)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        api.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    assert changed(unusual) == []
    with pytest.raises(seewhy.InputError):
        api.train("digits", out=tmp_path / "other", **{**OPTIONS, "batch_size": 10**6})
    assert changed(unusual) == []


def test_nothing_is_changed_by_the_generator_of_predictions(plain, unusual, tmp_path):
    """Between two predictions the caller's code runs."""
    from PIL import Image

    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path, image in zip(paths, IMAGES, strict=False):
        Image.fromarray(image).save(path)
    for _ in plain.predict_each(paths):
        assert changed(unusual) == []
    assert changed(unusual) == []


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, InterruptedRun), (signal.SIGTERM, InterruptedRunError)])
def test_a_signal_saves_and_the_handlers_are_given_back(number, kind, unusual, tmp_path):
    stepped = threading.Event()
    resting = threading.Event()

    def interrupt():
        stepped.wait()
        os.kill(os.getpid(), number)
        resting.set()

    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 2:
            stepped.set()
            resting.wait()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(kind, match=r"stopped at step [23] of 7; go on with: seewhy train --resume"):
            api.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    finally:
        stepped.set()
        thread.join()
    assert changed(unusual) == []
    assert seewhy.Run(tmp_path / "run").checkpoints.load("last").step in (2, 3)
    run = api.resume(tmp_path / "run")
    assert run.results["test"]["n"] > 0


def default_dtype():
    class Dtype:
        def __enter__(self):
            torch.set_default_dtype(torch.float64)

        def __exit__(self, *_):
            torch.set_default_dtype(torch.float32)

    return Dtype()


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype": default_dtype,
    "meta device": lambda: torch.device("meta"),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_changes_no_result(mode, plain, tmp_path):
    images = torch.from_numpy(IMAGES)[:, None]
    expected = plain.predict(list(IMAGES)), plain.evaluate(), plain.probabilities(images)
    before = states()
    with MODES[mode]():
        inside = states()
        run = api.train("digits", out=tmp_path / "run", **OPTIONS)
        predictions, figures = run.predict(list(IMAGES)), run.evaluate()
        opened = seewhy.Run(run.folder)
        predictor = opened.predictor
        probabilities = opened.probabilities(images)
        report = run.report().read_text(encoding="utf-8")
        again = api.resume(run.folder)
        assert changed(inside) == []
    assert changed(before) == []
    weights, wanted = final_weights(run.folder), final_weights(plain.folder)
    assert all(torch.equal(value, wanted[name]) for name, value in weights.items())
    assert run.results == again.results == plain.results
    assert (predictions, figures) == expected[:2]
    assert torch.equal(probabilities, expected[2])
    assert torch.equal(predictor(images), expected[2])  # a module that was made inside works outside
    assert "Test accuracy" in report


def test_it_works_within_itself():
    torch.manual_seed(5)
    before = states()
    with isolated():
        torch.set_default_dtype(torch.float64)
        with isolated():
            assert torch.get_default_dtype() == torch.float32
            torch.rand(3)
        assert torch.get_default_dtype() == torch.float64
    assert changed(before) == []


def test_whatever_a_block_changes_is_given_back(unusual):
    def change():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        torch.set_default_dtype(torch.bfloat16)
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("medium")
        warnings.simplefilter("always")
        torch.set_grad_enabled(False)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), isolated():
        change()
    assert changed(unusual) == []
    with torch.no_grad(), isolated():
        assert torch.is_grad_enabled()
    with torch.inference_mode(), isolated():
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def in_a_thread(work):
    """Do some work in another thread, to its end; return what it raised."""
    raised = []

    def run():
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


@pytest.mark.parametrize("work", ["train", "predict"])
def test_another_thread_is_refused_while_one_trains(work, plain, tmp_path):
    """Both would draw from one random state, and one would put back what the other has set."""
    raised = []

    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 2:
            raised.extend(in_a_thread(lambda: WORK[work](plain, tmp_path / "other")))

    run = api.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    assert [type(error) for error in raised] == [seewhy.InputError]
    assert "another thread of this process is training" in str(raised[0])
    assert not (tmp_path / "other").exists()
    weights, wanted = final_weights(run.folder), final_weights(plain.folder)
    assert all(torch.equal(value, wanted[name]) for name, value in weights.items())
    assert in_a_thread(lambda: WORK[work](plain, tmp_path / "other")) == []  # now it may


def test_an_observer_may_predict_and_train_in_the_trainings_own_thread(plain, tmp_path):
    def observer(event):
        if type(event).__name__ == "StepEnded" and event.step == 2:
            plain.predict(list(IMAGES))
            api.train("digits", out=tmp_path / "inner", **OPTIONS)

    run = api.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    wanted = final_weights(plain.folder)
    for folder in (run.folder, tmp_path / "inner"):
        assert all(torch.equal(value, wanted[name]) for name, value in final_weights(folder).items())


def test_predictions_of_many_threads_wait_for_one_another(plain):
    expected, found = plain.predict(list(IMAGES)), {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: plain.predict(list(IMAGES))}))
        for number in range(8)
    ]
    before = states()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert changed(before) == []
    assert all(found[number] == expected for number in range(8))


def test_after_a_training_that_failed_another_thread_may_train():
    with pytest.raises(ValueError, match="mine"), training():
        raise ValueError("mine")

    def compute():
        with training():
            torch.rand(1)

    assert in_a_thread(compute) == []
