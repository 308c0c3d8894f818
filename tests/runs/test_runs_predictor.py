"""`models.Predictor`: resizing as Pillow does, views, members and temperature against direct computations."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from seewhy import data
from seewhy.core.errors import InputError
from seewhy.models import Classifier, ClassifierDesign, Predictor, build_classifier
from seewhy.models.predictor import test_views as views_of
from seewhy.models.predictor import view_probabilities
from seewhy.nn import BatchNorm

RNG = np.random.default_rng(0)


def noise(channels, height, width):
    return torch.from_numpy(RNG.integers(0, 256, (channels, height, width), dtype=np.uint8))


def smooth(channels, height, width):
    """A gradient with an edge, where rounding matters less than on noise and alignment more."""
    y, x = np.mgrid[0:height, 0:width]
    plane = (128 + 100 * np.sin(x / 3 + y / 5)).astype(np.uint8)
    plane[:, width // 2 :] //= 2
    return torch.from_numpy(np.stack([np.roll(plane, 2 * c, 1) for c in range(channels)]))


def classifier(channels=1, side=8, classes=3, seed=0, name="convnet"):
    net = build_classifier(
        name,
        in_shape=(channels, side, side),
        classes=classes,
        rng=torch.Generator().manual_seed(seed),
        design=ClassifierDesign(width=4, depth=1),
    )
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return Classifier(net, (0.5,) * channels, (0.25,) * channels).eval()


SIZES = [(8, 8), (8, 13), (9, 8), (7, 5), (3, 3), (1, 1), (1, 40), (16, 16), (17, 31), (64, 48), (50, 200), (333, 100)]


@pytest.mark.parametrize("make", [noise, smooth])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("target", [8, 11, 32])
@pytest.mark.parametrize("channels", [(1, 1), (3, 3), (1, 3), (3, 1)], ids=str)
def test_images_are_resized_as_files_are(make, size, target, channels):
    theirs, ours = channels
    image = make(theirs, *size)
    expected = data.from_pixels(image, resolution=target, channels=ours)
    fitted = Predictor([nn.Identity()], shape=(ours, target, target)).resize(image[None])[0]
    assert fitted.shape == (ours, target, target)
    assert fitted.dtype == torch.uint8
    difference = (fitted.int() - expected.int()).abs()
    assert difference.max() <= 1
    height, width = size
    if height <= width:  # of tall images Pillow from version 13 on resizes the columns first
        assert difference.float().mean() < 1e-3
    if size == (target, target) and theirs == ours:
        assert torch.equal(fitted, image)


def test_over_many_sizes_hardly_a_pixel_differs_from_pillows():
    """Pillow itself: cover, then the central box."""
    different = pixels = 0
    for _ in range(60):
        height, width = sorted(RNG.integers(2, 120, 2).tolist())
        image = noise(3, height, width)
        scale = min(width, height) / 16
        box = ((width - 16 * scale) / 2, (height - 16 * scale) / 2, (width + 16 * scale) / 2, (height + 16 * scale) / 2)
        pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((16, 16), Image.Resampling.BILINEAR, box=box)
        expected = torch.from_numpy(np.asarray(pillow).copy()).permute(2, 0, 1)
        fitted = Predictor([nn.Identity()], shape=(3, 16, 16)).resize(image[None])[0]
        difference = (fitted.int() - expected.int()).abs()
        assert difference.max() <= 1
        different, pixels = different + int((difference > 0).sum()), pixels + difference.numel()
    assert different / pixels < 1e-3


def test_precision_and_autocast_of_the_network_do_not_reach_the_resizing():
    images = torch.stack([noise(3, 50, 70) for _ in range(4)])
    predictor = Predictor([nn.Identity()], shape=(3, 16, 16))
    expected = predictor.resize(images)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(predictor.resize(images), expected)
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_batch_is_resized_image_by_image():
    images = torch.stack([noise(3, 20, 15) for _ in range(4)])
    predictor = Predictor([classifier(3)], shape=(3, 8, 8))
    whole = predictor.resize(images)
    for image, fitted in zip(images, whole, strict=True):
        assert torch.equal(predictor.resize(image[None])[0], fitted)


@pytest.mark.parametrize("views", ["none", "flip", "flip_shift"])
def test_members_and_views_are_averaged_and_the_temperature_applied(views):
    members = [classifier(seed=seed) for seed in (1, 2, 3)]
    images = torch.stack([noise(1, 8, 8) for _ in range(5)])
    temperature = 1.7
    predictor = Predictor(members, shape=(1, 8, 8), views=views, temperature=temperature)
    with torch.no_grad():
        each = torch.stack(
            [torch.stack([member(view).softmax(1) for view in views_of(images, views)]).mean(0) for member in members]
        )
    torch.testing.assert_close(predictor.member_probabilities(images), each, atol=1e-5, rtol=1e-4)
    mean = each.mean(0).double()
    torch.testing.assert_close(predictor.uncalibrated(images), mean.float(), atol=1e-5, rtol=1e-4)
    powers = mean ** (1 / temperature)  # softmax(log p / T)
    expected = powers / powers.sum(1, keepdim=True)
    probabilities = predictor(images)
    torch.testing.assert_close(probabilities.double(), expected, atol=1e-5, rtol=1e-4)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))


def test_a_temperature_against_its_closed_form():
    """Of two classes with p = (0.9, 0.1): p'_1 / p'_2 = 9^(1/T)."""

    class Fixed(nn.Module):
        def forward(self, images):
            return torch.tensor([[0.9, 0.1]]).log().expand(len(images), 2)

    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    for temperature in (0.5, 1.0, 2.0):
        probabilities = Predictor([Fixed()], shape=(1, 4, 4), temperature=temperature)(images)
        ratio = 9 ** (1 / temperature)
        torch.testing.assert_close(probabilities[0], torch.tensor([ratio, 1.0]) / (ratio + 1))


def test_batch_normalisations_are_folded_and_the_members_are_left_as_they_were():
    member = classifier().train()
    before = {name: value.clone() for name, value in member.state_dict().items()}
    predictor = Predictor([member], shape=(1, 8, 8))
    assert not any(isinstance(module, BatchNorm) for module in predictor.modules())
    predictor(noise(1, 8, 8)[None])
    assert member.training
    assert all(torch.equal(value, before[name]) for name, value in member.state_dict().items())


def test_members_of_predictors_make_a_predictor():
    members = [Predictor([classifier(seed=seed)], shape=(1, 8, 8)) for seed in (0, 1)]
    images = torch.stack([noise(1, 12, 9) for _ in range(3)])
    both = Predictor([network for predictor in members for network in predictor.members], shape=(1, 8, 8))
    expected = torch.stack([predictor.uncalibrated(images) for predictor in members]).mean(0)
    torch.testing.assert_close(both(images), expected)


def test_it_is_saved_and_loaded_with_its_temperature():
    first, second = (Predictor([classifier(seed=seed)], shape=(1, 8, 8), temperature=1.0 + seed) for seed in (0, 1))
    second.load_state_dict(first.state_dict())
    images = noise(1, 8, 8)[None]
    assert torch.equal(first(images), second(images))


def test_views_are_the_mirror_and_the_shifts():
    images = torch.arange(2 * 1 * 4 * 5, dtype=torch.uint8).reshape(2, 1, 4, 5)
    plain, mirrored = images.numpy(), images.numpy()[..., ::-1]
    border = ((0, 0), (0, 0), (1, 1), (1, 1))
    lower_right = np.pad(plain, border, mode="reflect")[:, :, 0:4, 0:5]
    upper_left = np.pad(mirrored, border, mode="reflect")[:, :, 2:6, 2:7]
    for view, expected in zip(views_of(images, "flip_shift"), [plain, mirrored, lower_right, upper_left], strict=True):
        np.testing.assert_array_equal(view.numpy(), expected)


def test_view_weights():
    def model(images):
        return torch.where(images[:, :1, 0, 0] > 0, 100.0, -100.0) * torch.tensor([1.0, -1.0])

    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255  # only the image itself has its bright corner at the upper left
    for views, weight in (("none", 1), ("flip", 0.5), ("flip_shift", 0.25)):
        assert view_probabilities(model, image, views)[0, 0] == weight


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 8, 8), r"images: must be uint8 \(N, C, H, W\) with 1 or 3 channels, got torch.float32"),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"images: must be uint8 .* got torch.uint8 \(1, 8, 8\)"),
        (torch.zeros(2, 4, 8, 8, dtype=torch.uint8), r"images: must be uint8 .* got torch.uint8 \(2, 4, 8, 8\)"),
        (torch.zeros(2, 8, 8, 1, dtype=torch.uint8), r"images: must be uint8 .* got torch.uint8 \(2, 8, 8, 1\)"),
        (torch.zeros(2, 1, 0, 8, dtype=torch.uint8), r"images: must be uint8 .* got torch.uint8 \(2, 1, 0, 8\)"),
    ],
)
def test_wrong_images_are_refused(images, message, digits_run):
    with pytest.raises(InputError, match=message):
        Predictor([classifier()], shape=(1, 8, 8))(images)
    with pytest.raises(InputError, match=message):
        digits_run.probabilities(images)


def test_wrong_arguments_are_refused():
    member = classifier()
    for arguments, message in (
        ({"members": []}, "members: must be at least one classifier"),
        ({"views": "rotate"}, "views: must be none, flip or flip_shift, got 'rotate'"),
        ({"temperature": 0.0}, r"temperature: must be above 0 and finite, got 0\.0"),
        ({"temperature": float("nan")}, "temperature: must be above 0 and finite, got nan"),
        ({"temperature": float("inf")}, "temperature: must be above 0 and finite, got inf"),
    ):
        with pytest.raises(InputError, match=message):
            Predictor(**{"members": [member], "shape": (1, 8, 8), **arguments})


@pytest.mark.parametrize("run", ["digits_run", "shapes_run"])
def test_a_runs_probabilities_are_its_predictors(run, request):
    run = request.getfixturevalue(run)
    for channels, height, width in ((1, 8, 8), (3, 16, 16), (3, 40, 23), (1, 5, 70)):
        images = torch.stack([noise(channels, height, width) for _ in range(3)])
        probabilities = run.probabilities(images)
        torch.testing.assert_close(probabilities, run.predictor(images), atol=1e-6, rtol=1e-5)
        assert probabilities.shape == (3, len(run.classes))
    assert run.probabilities(torch.zeros(0, 1, 8, 8, dtype=torch.uint8)).shape == (0, len(run.classes))


def test_chunks_of_images_change_nothing(digits_run, monkeypatch):
    images = torch.stack([noise(1, 8, 8) for _ in range(11)])
    whole = digits_run.probabilities(images)
    monkeypatch.setattr("seewhy.runs.inference.CHUNK", 4)
    torch.testing.assert_close(digits_run.probabilities(images), whole, atol=1e-6, rtol=1e-5)
