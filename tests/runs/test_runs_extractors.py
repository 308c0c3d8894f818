"""Named features: the inputs of a classifier's last layer, and those of Inception."""

import sys
from types import ModuleType

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models import Classifier, ClassifierDesign, Regularisers, build_classifier
from seewhy.models.explanation import penultimate
from seewhy.runs.extractors import INCEPTION_WEIGHTS, classifier_features, inception_features, run_features

IMAGES = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def classifier(name):
    design = ClassifierDesign(width=6, depth=2, regularisers=Regularisers(dropout=0.3))
    net = build_classifier(name, in_shape=(3, 8, 8), classes=5, rng=torch.Generator().manual_seed(0), design=design)
    return Classifier(net, (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("name", ["mlp", "convnet", "resnet"])
def test_the_last_layer_makes_the_logits_of_the_features(name, monkeypatch):
    monkeypatch.setattr("seewhy.runs.extractors.CHUNK", 4)
    model = classifier(name)
    extractor = classifier_features(model, f"{name} of run a", (3, 8, 8))
    features = extractor.features(IMAGES)
    head = model.net.head
    assert features.values.shape == (9, head.in_features)
    assert features.values.dtype == torch.float32
    assert extractor.name == f"{name} of run a, {head.in_features} features"
    assert model.training  # as it was
    model.eval()
    logits = head(features.values)
    torch.testing.assert_close(logits, model(IMAGES))
    torch.testing.assert_close(features.probabilities, logits.softmax(1))
    assert not head._forward_pre_hooks
    assert not features.values.requires_grad


def test_features_are_equal_and_use_no_randomness():
    extractor, state = classifier_features(classifier("mlp"), "m", (3, 8, 8)), torch.random.get_rng_state()
    assert torch.equal(extractor.features(IMAGES).values, extractor.features(IMAGES).values)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_hook_goes_even_if_the_forward_pass_fails():
    model = classifier("mlp")
    with pytest.raises(RuntimeError):
        classifier_features(model, "m", (3, 8, 8)).features(IMAGES[:, :, :5])
    assert not model.net.head._forward_pre_hooks


def test_a_runs_extractor_has_its_name_and_refuses_other_sizes():
    model = classifier("convnet")
    extractor = run_features(model, "convnet of run digits-1", (3, 8, 8))
    assert extractor.name == f"convnet of run digits-1, {model.net.head.in_features} features"
    assert torch.equal(
        extractor.features(IMAGES).values, classifier_features(model, "m", (3, 8, 8)).features(IMAGES).values
    )
    with pytest.raises(InputError, match=r"images: must have the size of .*digits-1 \(3, 8, 8\), got \(3, 8, 7\)"):
        extractor.features(IMAGES[..., :7])


def test_the_run_of_a_generative_model_is_refused():
    with pytest.raises(InputError, match="is no classifier; name the run of a classifier of the same images"):
        run_features(torch.nn.Identity(), "vae of run digits-1", (1, 8, 8))


class Inception(torch.nn.Module):
    """What stands in for torchmetrics' network: it takes uint8 images of three channels, and loads a file of weights."""

    def __init__(self, name, features, path):
        super().__init__()
        assert features == ["2048"]
        self.scale = torch.load(path, weights_only=False)["scale"]  # as the real one loads

    def forward(self, images):
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        return (images.flatten(1).float() * self.scale).to(torch.float64)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub folder with the weights, and a torchmetrics that is quick to import."""
    stand_in = ModuleType("torchmetrics.image.fid")
    stand_in.NoTrainInceptionV3 = Inception
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", stand_in)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / INCEPTION_WEIGHTS


def test_inception_reads_grey_images_as_colour_and_a_few_at_a_time(hub, monkeypatch):
    torch.save({"scale": torch.tensor(2.0)}, hub)
    monkeypatch.setattr("seewhy.runs.extractors.INCEPTION_CHUNK", 4)
    extractor = inception_features()
    assert extractor.name == "Inception of 2015, 2048 features"
    features = extractor.features(IMAGES[:, :1])
    assert features.values.dtype == torch.float32
    torch.testing.assert_close(features.values, 2.0 * IMAGES[:, :1].expand(-1, 3, -1, -1).flatten(1))
    assert extractor.features(IMAGES).values.shape == (9, 192)
    assert features.probabilities is None


def test_inception_without_its_weights_is_refused(hub):
    with pytest.raises(InputError, match=f"there is no .*{INCEPTION_WEIGHTS}; put them there, or name the run"):
        inception_features()


def test_inception_without_its_packages_is_refused(hub, monkeypatch):
    torch.save({"scale": torch.tensor(2.0)}, hub)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(InputError, match=r"needs torchmetrics and torch-fidelity .*pip install 'seewhy\[inception\]'"):
        inception_features()


def test_a_strangers_weights_run_no_code(hub):
    torch.save({"scale": print}, hub)
    with pytest.raises(InputError, match="does not hold the weights of Inception"):
        inception_features()


def test_features_of_runs_and_of_explanations_are_one_rule():
    convolutional = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 5, 1),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    model = Classifier(convolutional, (0.5,) * 3, (0.25,) * 3)
    found = classifier_features(model, "mine", (3, 8, 8))
    assert found.name == "mine, 4 features"  # a map is averaged over its positions
    assert torch.equal(found.features(IMAGES).values, penultimate(model, IMAGES).features)
    with pytest.raises(InputError, match="features: mine has no layer with weights"):
        classifier_features(torch.nn.Flatten(), "mine", (3, 8, 8))
