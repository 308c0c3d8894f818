"""A run goes on to a larger budget, or where its data lie now: with the bits of a run that was started so."""

import json
import shutil

import pytest

import seewhy
from run_cases import assert_same_bits
from seewhy.core.errors import InputError, RunError
from seewhy.runs.run import Run

OPTIONS = {
    "model": "mlp",
    "width": 8,
    "depth": 1,
    "train.threads": 1,
    "precision": "fp32",
    "optim.schedule": "constant",
}


def train(source, out, **options):
    return seewhy.train(source, out=out, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def longer(tmp_path_factory, shapes):
    return train(shapes, tmp_path_factory.mktemp("longer") / "run", epochs=3).folder


@pytest.fixture(scope="module")
def shorter(tmp_path_factory, shapes):
    return train(shapes, tmp_path_factory.mktemp("shorter") / "run", epochs=2).folder


@pytest.fixture
def short(shorter, tmp_path):
    """A finished run of two epochs that may be changed."""
    shutil.copytree(shorter, tmp_path / "run")
    return tmp_path / "run"


def test_a_larger_budget_gives_the_run_that_had_it_from_the_start(short, longer):
    before = Run(short).results
    run = seewhy.resume(short, epochs=3)
    assert_same_bits(short, longer)
    assert (run.spec, run.request, run.results) == (Run(longer).spec, Run(longer).request, Run(longer).results)
    assert (short / "spec.toml").read_text() == (longer / "spec.toml").read_text()
    assert json.loads((short / "results-2-epochs.json").read_text()) == before


def test_interrupted_on_the_way_it_is_an_unfinished_run_of_the_larger_budget(short, longer):
    asked = []
    with pytest.raises(RunError):
        seewhy.resume(short, epochs=3, stop=lambda: asked.append(1) or len(asked) > 2)
    assert Run(short).results == {}
    assert Run(short).spec.train.epochs == 3
    seewhy.resume(short)
    assert_same_bits(short, longer)


def test_a_schedule_ends_with_the_new_budget(shapes, tmp_path):
    falling = {"optim.schedule": "linear"}
    run = train(shapes, tmp_path / "a", epochs=2, **falling)
    planned = []
    run = seewhy.resume(run.folder, epochs=4, observers=[planned.append])
    whole = train(shapes, tmp_path / "b", epochs=4, **falling)
    assert [row["lr"] for row in run.metrics[2:]] == [row["lr"] for row in whole.metrics[2:]]
    lines = dict(next(event.lines for event in planned if event.name == "planned"))
    assert "from 2 epochs to 4 epochs; the learning rate follows the linear schedule" in lines["extended"]


def test_the_first_steps_at_the_initial_resolution_stay_what_they_were(shapes, tmp_path):
    small = {"model": "convnet", "width": 4, "depth": 1, "train.initial_resolution": 8, "train.initial_fraction": 0.5}
    run = seewhy.train(
        shapes, out=tmp_path / "a", epochs=2, **{"optim.schedule": "constant", "train.threads": 1}, **small
    )
    longer = seewhy.resume(run.folder, epochs=4)
    assert longer.spec.train.initial_fraction == 0.25
    assert longer.request.get("train.initial_fraction") == 0.25


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 2}, "must be more than the run's 2 epochs, got 2"),
        ({"epochs": "many"}, "must be more than the run's 2 epochs"),
        ({"epochs": 4, "lr": 0.1}, "--epochs and --patience may change, not optim.lr"),
        ({"nonsense": 1}, "nonsense: there is no such option"),
        ({"epochs": 4, "patience": 0}, "train.patience"),
    ],
)
def test_what_would_make_another_run_is_refused_and_nothing_is_touched(short, options, said):
    before = {path: path.read_bytes() for path in short.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=said):
        seewhy.resume(short, **options)
    assert {path: path.read_bytes() for path in short.rglob("*") if path.is_file()} == before


def test_a_run_that_stopped_early_needs_more_patience(shapes, tmp_path):
    run = train(shapes, tmp_path / "run", epochs=50, patience=1, lr=1e-9)
    stopped = len(run.metrics)
    assert stopped < 50
    with pytest.raises(InputError, match="stopped early, after 1 epochs without gain; give --patience too, above 1"):
        seewhy.resume(run.folder, epochs=60)
    assert Run(run.folder).results
    run = seewhy.resume(run.folder, epochs=60, patience=3)
    assert len(run.metrics) > stopped
    assert run.spec.train.patience == 3


def test_an_ensemble_goes_on_with_all_its_members(shapes, tmp_path):
    run = train(shapes, tmp_path / "a", epochs=2, members=2)
    whole = train(shapes, tmp_path / "b", epochs=3, members=2)
    run = seewhy.resume(run.folder, epochs=3)
    for one, other in zip(run.members, whole.members, strict=True):
        assert_same_bits(one.folder, other.folder)
    assert run.results == whole.results


def test_cycles_that_end_in_a_snapshot_cannot_move(shapes, tmp_path):
    run = train(shapes, tmp_path / "run", epochs=2, **{"train.snapshots": 2, "optim.schedule": "cosine"})
    with pytest.raises(InputError, match="keeps a network at the end of each of 2 cycles"):
        seewhy.resume(run.folder, epochs=3)


def test_data_that_were_moved_are_named_and_recognised(shapes, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(shapes, here)
    run = train(here, tmp_path / "run", epochs=2)
    here.rename(there)
    with pytest.raises(InputError, match="here"):
        seewhy.resume(run.folder, epochs=3)
    run = seewhy.resume(run.folder, source=there, epochs=3)
    assert run.spec.source == run.request.source == str(there)
    assert run.evaluate().accuracy == run.results["test"]["accuracy"]
    next((there / "cross").iterdir()).unlink()
    with pytest.raises(InputError, match=r"there: the images have changed"):
        seewhy.resume(run.folder, source=there, epochs=4)
    assert Run(run.folder).spec.train.epochs == 3
