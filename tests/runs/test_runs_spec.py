"""Runs as a start for others: repeated bit for bit, edited, refused where they are of another version."""

import pytest

import seewhy
from run_cases import MLP, assert_same_bits
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.spec import Request, build_request
from seewhy.training.events import Planned

OPTIONS = {**MLP, "epochs": 1.0, "batch_size": 200, "dropout": 0.2}

OLD = """\
source = "digits"

[data]
resolution = 8
channels = 1
test_fraction = 0.15
split_seed = 0
cache = "pixels"
strict = false

[model]
name = "mlp"
inputs = "standard"
activation = "relu"
keep_parameters = false
shared = false
init = "he"
norm = "batch"
norm_init = "standard"
width = 8
depth = 2
pool = "max"

[generator]
conditional = false
binarise = "stochastic"
beta = 1.0

[reg]
label_smoothing = 0.2
stochastic_depth = 0.0
flip = "none"
cutout = 0
erasing = 0.0

[optim]
name = "muon"
lr = 0.0627
momentum = 0.6
weight_decay = 0.0
schedule = "linear"

[train]
epochs = 2.0
batch_size = 68
early_resolution = 8
early_fraction = 0.6
seed = 0
precision = "fp32"
device = "cpu"

[ensemble]
members = 1
edits = []
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return api.train("digits", out=tmp_path_factory.mktemp("spec") / "run", **OPTIONS)


@pytest.mark.parametrize("start", [".", "spec.toml", "request.toml"])
def test_without_edits_a_run_is_repeated_bit_for_bit(start, run, tmp_path):
    again = api.train(spec=run.folder / start, out=tmp_path / "again")
    assert_same_bits(again.folder, run.folder)
    assert again.spec == run.spec
    assert again.results == run.results
    if start == "request.toml":
        assert again.request == run.request
        assert (again.folder / "spec.toml").read_text() == (run.folder / "spec.toml").read_text()
    else:  # everything that was chosen then is asked for
        assert again.request.asked() >= {"optim.lr", "reg.label_smoothing", "train.device"}


def planned(request):
    """Return the specification that a request leads to."""
    events = []
    assert api.start(request, observers=[events.append], dry_run=True) is None
    (spec,) = [event.spec for event in events if isinstance(event, Planned)]
    return spec


@pytest.mark.parametrize("start", [".", "spec.toml", "request.toml"])
def test_edits_change_what_was_asked_for_and_the_rest_follows(start, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    request = build_request(None, run.folder / start, {"optimizer": "adam", "width": 8})
    assert request.get("train.batch_size") == 200  # asked for then
    assert request.get("reg.label_smoothing") is None  # chosen then
    spec = planned(request)
    assert (spec.optim.name, spec.model.width, spec.train.batch_size) == ("adam", 8, 200)
    assert spec.optim.lr != run.spec.optim.lr  # that was the other optimiser's
    assert spec.reg.label_smoothing == 0.1 != run.spec.reg.label_smoothing
    assert list(tmp_path.iterdir()) == []  # a dry run writes nothing


def test_a_field_can_be_taken_back(run):
    spec = planned(build_request(None, run.folder, {"dropout": None, "batch_size": "default"}))
    assert spec.reg.dropout == 0.0
    assert spec.train.batch_size == 68


def test_another_source_is_an_edit(run, shapes):
    request = build_request(str(shapes), run.folder, {"batch_size": None})
    assert request.source == str(shapes)
    assert planned(request).data.resolution == 16


def test_what_was_asked_for_stands_in_the_folder(run):
    assert run.request == Request.make("digits", OPTIONS)
    text = (run.folder / "spec.toml").read_text()
    assert "width = 16  # asked" in text
    assert "label_smoothing = 0.2  # chosen" in text
    assert seewhy.Run(run.folder).spec == run.spec


@pytest.mark.parametrize("start", [".", "spec.toml"])
def test_a_run_of_another_version_is_refused_in_one_sentence(start, tmp_path):
    (tmp_path / "spec.toml").write_text(OLD)
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    message = (
        f"{tmp_path}: is a run of format 1, but this version of seewhy reads format 2; "
        "open it with the version that made it, or train again"
    )
    for work in (
        lambda: seewhy.Run(tmp_path),
        lambda: api.resume(tmp_path),
        lambda: api.train(spec=tmp_path / start, out=tmp_path / "new"),
        lambda: api.train(spec=tmp_path / start, out=tmp_path / "new", width=8),
    ):
        with pytest.raises(InputError) as caught:
            work()
        assert str(caught.value) == message
    assert not (tmp_path / "new").exists()


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not a run folder \(there is no spec\.toml\)"):
        api.train(spec=tmp_path)
    with pytest.raises(InputError, match=r"none\.toml: cannot read the specification"):
        api.train(spec=tmp_path / "none.toml")
    with pytest.raises(InputError, match="source: is required"):
        api.train()
