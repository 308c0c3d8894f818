"""A run that starts from another run's weights: the same network, classes by their names, and refusals."""

import shutil

import numpy as np
import pytest
import torch

import seewhy
from run_cases import MLP, assert_same_bits, raise_at
from seewhy.core.errors import InputError
from seewhy.models.family import Trained, verb
from seewhy.runs.run import Run
from seewhy.runs.start import prepare_run
from seewhy.spec import build_request

SHORT = {"epochs": 1, "precision": "fp32", "train.threads": 1}
RNG = np.random.default_rng(0)
IMAGES = (
    RNG.integers(0, 256, (80, 8, 8), dtype=np.uint8) // (1 + 3 * (np.arange(80, dtype=np.uint8) % 3))[:, None, None]
)


def of_classes(*names):
    """Return images with the class names in turn."""
    return IMAGES, np.array([names[k % len(names)] for k in range(len(IMAGES))])


def prepared(run, data, **options):
    """Return what a run of other data that starts from `run` is before its first step."""
    source = str(seewhy.api.kept(data))
    return prepare_run(
        build_request(source, None, {"initial_weights": str(run.folder), **SHORT, **options}), lambda _: None
    )


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    options = {"model": "mlp", "width": 8, "depth": 2, "activation": "elu"}
    return seewhy.train(of_classes("a", "b", "c"), out=tmp_path_factory.mktemp("first") / "run", **SHORT, **options)


def test_network_and_size_are_those_of_the_run(classifier, shapes):
    ready = prepared(classifier, shapes)  # colour images of 16 x 16
    assert ready.spec.model == classifier.spec.model
    assert ready.facts.shape == classifier.facts.shape == (1, 8, 8)
    assert ready.spec.train.initial_weights.startswith(f"{classifier.folder}@")
    assert f"those of {classifier.folder}, which knows 0 of the 3 classes" in ready.weights


@pytest.mark.parametrize("names", [("c", "a", "b"), ("b", "new", "a", "other", "c"), ("c", "b")])
def test_outputs_follow_the_names_of_the_classes(classifier, names):
    ready = prepared(classifier, of_classes(*names))
    images = torch.from_numpy(IMAGES[:, None])
    with torch.no_grad():
        found, expected = ready.model.eval()(images), classifier.model(images)
    classes = ready.dataset.classes
    for name in set(names) & {"a", "b", "c"}:
        assert torch.equal(found[:, classes.index(name)], expected[:, classifier.classes.index(name)])
    again = prepared(classifier, of_classes(*names))
    assert all(map(torch.equal, ready.model.state_dict().values(), again.model.state_dict().values()))


@pytest.mark.parametrize(
    "options",
    [
        {"model": "vae", "model.conditional": True, "width": 4},
        {"model": "vae", "model.conditional": True, "model.architecture": "dense", "width": 8},
        {"model": "gan", "model.conditional": True, "width": 4},
        {"model": "pixelcnn", "model.conditional": True, "width": 4, "depth": 2, "epochs": 4, "lr": 0.1},
    ],
)
def test_conditional_models_carry_what_a_class_means(options, tmp_path):
    run = seewhy.train(of_classes("a", "b", "c"), out=tmp_path / "run", **{**SHORT, **options})
    ready = prepared(run, of_classes("new", "c", "a"))
    classes = ready.dataset.classes
    begun = Trained(
        spec=ready.spec,
        model=ready.model.eval(),
        facts=ready.facts,
        classes=classes,
        engine=run.engine,
        folder=tmp_path,
    )
    found = {name: verb(ready.spec, "sample", tmp_path)(begun, 4, label=name, seed=1) for name in ("a", "c")}
    for name, images in found.items():
        assert torch.equal(run.sample(4, label=name, seed=1), images)
    assert not torch.equal(found["a"], found["c"])


def test_it_trains_resumes_and_repeats_to_the_bit(classifier, tmp_path):
    options = {**MLP, "epochs": 2, "width": 8, "depth": 2}
    data = of_classes("a", "z")
    run = seewhy.train(data, out=tmp_path / "a", initial_weights=classifier, **options)
    random = seewhy.train(data, out=tmp_path / "random", activation="elu", **options)
    assert run.metrics[0]["train_loss"] != random.metrics[0]["train_loss"]
    with pytest.raises(KeyboardInterrupt):  # before the first checkpoint
        seewhy.train(
            data, out=tmp_path / "b", initial_weights=str(classifier.folder), observers=[raise_at(1)], **options
        )
    seewhy.resume(tmp_path / "b")
    assert_same_bits(tmp_path / "b", tmp_path / "a")
    seewhy.train(spec=run, out=tmp_path / "c")
    assert_same_bits(tmp_path / "c", tmp_path / "a")


def test_a_repetition_whose_weights_have_changed_is_refused(classifier, tmp_path):
    shutil.copytree(classifier.folder, tmp_path / "first")
    run = seewhy.train(of_classes("a", "b"), out=tmp_path / "a", initial_weights=tmp_path / "first", **SHORT)
    seewhy.resume(tmp_path / "first", epochs=2)
    with pytest.raises(InputError, match="are others now"):
        seewhy.train(spec=run, out=tmp_path / "b")
    seewhy.train(spec=run, out=tmp_path / "c", initial_weights=tmp_path / "first")  # whatever it has
    assert not (tmp_path / "b").exists()


def test_members_all_start_from_them(classifier, tmp_path):
    run = seewhy.train(
        of_classes("a", "b", "c"), out=tmp_path / "run", initial_weights=classifier, members=2, lr=1e-12, **SHORT
    )
    for member in run.members:
        weights = member.weights()
        for name, expected in classifier.weights().items():
            if expected.dim() == 2:
                assert torch.allclose(weights[name], expected, rtol=1e-2)


def test_what_does_not_fit_is_refused_before_anything_is_written(classifier, tmp_path):
    with pytest.raises(InputError, match="is not a run folder"):
        seewhy.train("digits", initial_weights=tmp_path, out=tmp_path / "run")
    for options, said in (
        ({"width": 9}, r"the network of .* is another .* is 8 x 64 there, 9 x 64 here"),
        ({"model": "convnet"}, "is only in one of them"),
        ({"resolution": 4}, r"8 x 64 there, 8 x 16 here"),
    ):
        with pytest.raises(InputError, match=said):
            seewhy.train(of_classes("a", "b"), initial_weights=classifier, out=tmp_path / "run", **SHORT, **options)
    assert list(tmp_path.iterdir()) == []
    ensemble = seewhy.train(of_classes("a", "b"), out=tmp_path / "ensemble", members=2, **{**MLP, "epochs": 1})
    with pytest.raises(InputError, match="each of its members has a network"):
        seewhy.train(of_classes("a", "b"), initial_weights=ensemble, out=tmp_path / "run")
    assert Run(ensemble.members[0].folder).weights().keys()
