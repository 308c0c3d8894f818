"""The family of autoregressive models: from a specification to its network, its results and its verbs."""

import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models import RasterGenerator
from seewhy.models.autoregressive.family import IMPLEMENTATION
from seewhy.models.family import implementation_of
from seewhy.spec import family_of

MODELS = ("pixelcnn", "gated_pixelcnn", "row_lstm", "diagonal_bilstm")


@pytest.mark.parametrize("name", MODELS)
def test_the_specification_says_what_is_built(make_trained, name):
    trained = make_trained(name, levels=4, conditional=True)
    assert implementation_of(trained.spec) is IMPLEMENTATION
    assert isinstance(trained.model, RasterGenerator)
    net = trained.model.net
    assert (net.shape, net.levels, net.classes) == ((1, 8, 8), 4, 10)
    assert family_of(name).model(name).verbs <= set(IMPLEMENTATION.verbs)
    assert IMPLEMENTATION.announce(trained.spec) == [
        ("network", f"{name}, width 8, depth 1, 4 levels, class-conditional")
    ]


def test_the_kernels_are_the_specifications(make_trained):
    assert make_trained("pixelcnn", kernel_size=5).model.net.blocks[0].inner.kernel == (5, 5)
    assert make_trained("pixelcnn", levels=2, binarise="threshold").model.levels.binarise == "threshold"


def test_equal_seeds_build_equal_weights(make_trained, make_spec, digits):
    first, again = make_trained("pixelcnn"), make_trained("pixelcnn")
    other = IMPLEMENTATION.build(
        first.spec.replace({"train.seed": 1}), first.facts, digits.mean, digits.std
    ).state_dict()
    assert all(torch.equal(again.model.state_dict()[name], value) for name, value in first.model.state_dict().items())
    assert not all(torch.equal(other[name], value) for name, value in first.model.state_dict().items())


def test_the_end_of_a_run_measures_and_completes(make_trained, digits, tmp_path):
    trained = make_trained("gated_pixelcnn", levels=2)
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    assert list(finished.results) == ["val", "test"]
    test = finished.results["test"]
    assert list(test) == ["split", "n", "nats", "interval", "bits_per_dimension", "estimator", "levels"]
    assert (test["n"], test["estimator"], test["levels"]) == (70, "exact", 2)
    assert test["bits_per_dimension"] == pytest.approx(test["nats"] / (64 * math.log(2)))
    assert -finished.predictions["test"]["log_likelihood"].mean() == pytest.approx(test["nats"], rel=1e-5)
    assert list(finished.record) == ["sheets"]
    assert (tmp_path / "generated" / "completions.png").is_file()
    again = IMPLEMENTATION.verbs["evaluate"](trained, digits.test, "test", digits.classes)
    assert again.figures.to_json() == test


def test_only_the_main_process_writes(make_trained, digits, engines, tmp_path):
    trained = make_trained("pixelcnn", engine=engines(2)[1])
    finished = IMPLEMENTATION.finish(trained, digits, tmp_path)
    assert list(finished.results) == ["val", "test"]
    assert not finished.record
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", MODELS)
def test_given_pixels_are_kept_exactly(make_trained, name):
    trained, complete = make_trained(name), IMPLEMENTATION.verbs["complete"]
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    completed = complete(trained, images, rows=5, seed=1)
    assert torch.equal(completed[:, :, :5], images[:, :, :5])
    assert not torch.equal(completed[:, :, 5:], images[:, :, 5:])
    assert torch.equal(complete(trained, images), complete(trained, images, rows=4))
    given = torch.rand(8, 8) < 0.5
    completed = complete(trained, images, given=given)
    assert torch.equal(completed[:, :, given], images[:, :, given])
    for other in (given.numpy(), given.tolist(), given.expand(3, 1, 8, 8)):
        assert torch.equal(complete(trained, images, given=other), completed)


def test_a_class_can_be_asked_for(make_trained, images):
    trained, complete = make_trained("gated_pixelcnn", conditional=True), IMPLEMENTATION.verbs["complete"]
    assert torch.equal(complete(trained, images, label=[0, 1, 2]), complete(trained, images))
    assert torch.equal(complete(trained, images, label="7"), complete(trained, images, label=7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 9}, r"rows: must be from 0 to the images' height \(8\), got 9"),
        ({"rows": 2.5}, r"rows: must be a whole number, got 2\.5"),
        ({"rows": 2, "given": torch.ones(8, 8, dtype=torch.bool)}, "rows, given: say the same in two ways"),
        ({"given": torch.ones(7, 8, dtype=torch.bool)}, r"given: must be bool \(8, 8\)"),
        ({"given": torch.ones(8, 8)}, r"given: .* got 'torch\.float32 \(8, 8\)'"),
        ({"given": torch.ones(1, 3, 1, 8, 8, dtype=torch.bool)}, "given: must be bool"),
        ({"temperature": math.inf}, "temperature: must be at least 0, got inf"),
        ({"label": 3}, "label: .* is not class-conditional"),
    ],
)
def test_what_cannot_be_completed_is_refused(make_trained, images, options, message):
    with pytest.raises(InputError, match=message):
        IMPLEMENTATION.verbs["complete"](make_trained("pixelcnn"), images, **options)


def test_an_exact_likelihood_takes_no_samples(make_trained, digits):
    with pytest.raises(InputError, match=r"samples: bound the likelihood of a vae, but .* is a pixelcnn"):
        IMPLEMENTATION.verbs["evaluate"](make_trained("pixelcnn"), digits.test, "test", digits.classes, samples=5)
