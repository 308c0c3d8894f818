"""Named features: those that a recogniser's last layer is given."""

import sys
from types import ModuleType

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models import Design, Recogniser, build
from seewhy.training.fidelity.extractor import INCEPTION_WEIGHTS, inception, last_features, of_run, pixels

IMAGES = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def recogniser(name):
    design = Design(width=6, depth=2, dropout=0.3)
    net = build(name, in_shape=(3, 8, 8), classes=5, generator=torch.Generator().manual_seed(0), design=design)
    return Recogniser(net, (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("name", ["mlp", "convnet", "resnet"])
def test_the_last_layer_makes_the_logits_of_the_features(name, monkeypatch):
    monkeypatch.setattr("seewhy.training.fidelity.extractor.CHUNK", 4)
    model = recogniser(name)
    extractor = last_features(model, f"{name} of run a")
    reading = extractor.read(IMAGES)
    head = model.net.head
    assert reading.features.shape == (9, head.in_features)
    assert reading.features.dtype == torch.float32
    assert extractor.name == f"{name} of run a, {head.in_features} features"
    assert model.training  # as it was
    model.eval()
    logits = head(reading.features)
    torch.testing.assert_close(logits, model(IMAGES))
    torch.testing.assert_close(reading.probabilities, logits.softmax(1))
    assert not head._forward_pre_hooks
    assert not reading.features.requires_grad


def test_readings_are_equal_and_use_no_randomness():
    extractor, state = last_features(recogniser("mlp"), "m"), torch.random.get_rng_state()
    assert torch.equal(extractor.read(IMAGES).features, extractor.read(IMAGES).features)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_hook_goes_even_if_reading_fails():
    model = recogniser("mlp")
    with pytest.raises(RuntimeError):
        last_features(model, "m").read(IMAGES[:, :, :5])
    assert not model.net.head._forward_pre_hooks


def test_pixels_are_features():
    extractor = pixels((3, 8, 8))
    assert extractor.name == "pixels, 192 features"
    reading = extractor.read(IMAGES)
    torch.testing.assert_close(reading.features, IMAGES.reshape(9, -1) / 255)
    assert reading.probabilities is None


class Spec:
    class model:  # noqa: N801
        name = "convnet"


class Run:
    """What an extractor asks of a run's folder."""

    spec, data = Spec, {"facts": {"channels": 3, "height": 8, "width": 8}}

    def __init__(self, folder, model):
        self.folder, self.model = folder, model


def test_a_run_gives_its_name(tmp_path):
    model = recogniser("convnet")
    extractor = of_run(Run(tmp_path / "digits-1", model))
    assert extractor.name == f"convnet of run digits-1, {model.net.head.in_features} features"
    assert torch.equal(extractor.read(IMAGES).features, last_features(model, "m").read(IMAGES).features)
    with pytest.raises(InputError, match=r"images: must have the size of .*digits-1 \(3, 8, 8\), got \(3, 8, 7\)"):
        extractor.read(IMAGES[..., :7])


def test_a_generators_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no recogniser; name a run of mlp, convnet or resnet"):
        of_run(Run(tmp_path, torch.nn.Identity()))


class Inception(torch.nn.Module):
    """What stands in for torchmetrics' network: it takes uint8 pictures of three channels, and loads a file of weights."""

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


def test_inception_reads_grey_pictures_as_colour_and_a_few_at_a_time(hub, monkeypatch):
    torch.save({"scale": torch.tensor(2.0)}, hub)
    monkeypatch.setattr("seewhy.training.fidelity.extractor.INCEPTION_CHUNK", 4)
    extractor = inception()
    assert extractor.name == "Inception of 2015, 2048 features"
    reading = extractor.read(IMAGES[:, :1])
    assert reading.features.dtype == torch.float32
    torch.testing.assert_close(reading.features, 2.0 * IMAGES[:, :1].expand(-1, 3, -1, -1).flatten(1))
    assert extractor.read(IMAGES).features.shape == (9, 192)
    assert reading.probabilities is None


def test_inception_without_its_weights_is_refused(hub):
    with pytest.raises(InputError, match=f"there is no .*{INCEPTION_WEIGHTS}; put them there, or name the run"):
        inception()


def test_inception_without_its_packages_is_refused(hub, monkeypatch):
    torch.save({"scale": torch.tensor(2.0)}, hub)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(InputError, match=r"needs torchmetrics and torch-fidelity .*pip install 'seewhy\[inception\]'"):
        inception()


def test_a_strangers_weights_run_no_code(hub):
    torch.save({"scale": print}, hub)
    with pytest.raises(InputError, match="does not hold the weights of Inception"):
        inception()
