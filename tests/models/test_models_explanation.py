"""Attribution maps point at what decides, agree with captum, and are told apart from pictures of the image."""

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.core.seeding import rng
from seewhy.models.explanation import (
    grad_cam,
    integrated_gradients,
    layers_of,
    map_layer,
    occlusion,
    penultimate,
    rise,
)
from seewhy.models.randomisation import UNCHANGED, randomised, rank_correlation, sanity_check

SIDE, PATCH, TOP, LEFT = 24, 5, 3, 15
"""The class is 1 where a square of noise is bright at one place, else 0."""

BASELINE = torch.full((3, 1, 1), 0.2)


def planted(count, seed=0):
    """Return images of noise with a bright square in each second one, and their classes."""
    images = 0.4 * torch.rand(count, 3, SIDE, SIDE, generator=rng(seed, "images"))
    classes = torch.arange(count) % 2
    images[classes == 1, :, TOP : TOP + PATCH, LEFT : LEFT + PATCH] += 0.6
    return images, classes


def network(seed=0, inplace=True):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12, momentum=0.3), nn.ReLU(inplace), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(inplace), nn.AdaptiveMaxPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


@pytest.fixture(scope="module")
def trained():
    """Learns the square's place in a second."""
    net, (images, classes) = network(), planted(128)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), classes).backward()
        optimizer.step()
    net.eval()
    assert (net(planted(64, 1)[0]).argmax(1) == planted(64, 1)[1]).float().mean() > 0.95
    return net


def maps_of(name, net, images, classes):
    if name == "grad_cam":
        return grad_cam(net, images, classes)
    compute = {"integrated_gradients": integrated_gradients, "occlusion": occlusion}[name]
    return compute(net, images, classes, BASELINE)


METHODS = ["grad_cam", "integrated_gradients", "occlusion"]


@pytest.mark.parametrize("method", METHODS)
def test_maps_point_at_the_square_that_decides(method, trained):
    images, classes = planted(16, 2)
    images, classes = images[classes == 1], classes[classes == 1]
    maps = maps_of(method, trained, images, classes)
    assert maps.shape == (8, SIDE, SIDE)
    assert torch.isfinite(maps).all()
    margin = (
        0 if method == "integrated_gradients" else PATCH
    )  # a map of 12 positions, and a square that covers the edge
    peaks = [divmod(int(one.argmax()), SIDE) for one in maps]
    assert all(
        TOP - margin <= y < TOP + PATCH + margin and LEFT - margin <= x < LEFT + PATCH + margin for y, x in peaks
    )
    near = maps[:, max(0, TOP - 2) : TOP + PATCH + 2, LEFT - 2 : LEFT + PATCH + 2].clamp_min(0).sum(dim=(1, 2))
    assert (near / maps.clamp_min(0).sum(dim=(1, 2)) > 0.5).all()  # of an area of a seventh


def test_integrated_gradients_are_complete(trained):
    images, classes = planted(6, 3)
    above = rise(trained, images, classes, BASELINE)
    gaps = [
        (integrated_gradients(trained, images, classes, BASELINE, steps=steps).sum(dim=(1, 2)) - above).abs().max()
        for steps in (4, 64, 512)
    ]
    assert gaps[2] < 0.01 * above.abs().max()
    assert gaps[2] < gaps[1] < gaps[0]


def test_methods_equal_captum(trained):
    attr = pytest.importorskip("captum.attr", reason="captum, the independent twin, is not installed")
    images, classes = planted(4, 4)
    net = network(inplace=False).eval()
    net.load_state_dict(trained.state_dict())
    integrated = attr.IntegratedGradients(net)
    expected = integrated.attribute(
        images, BASELINE.expand_as(images), target=classes, n_steps=32, method="riemann_middle"
    )
    ours = integrated_gradients(trained, images, classes, BASELINE, steps=32)
    torch.testing.assert_close(ours, expected.sum(1), rtol=1e-4, atol=1e-5)

    for layer in ("2", "4", "5"):  # what gives 4 is overwritten in place
        cam = attr.LayerGradCam(net, net.get_submodule(layer)).attribute(images, target=classes, relu_attributions=True)
        expected = attr.LayerAttribution.interpolate(cam, (SIDE, SIDE), "bilinear")[:, 0]
        torch.testing.assert_close(grad_cam(trained, images, classes, layer), expected.detach(), rtol=1e-4, atol=1e-6)

    expected = attr.Occlusion(net).attribute(
        images, (3, 6, 6), (3, 3, 3), baselines=BASELINE.expand_as(images), target=classes
    )
    ours = occlusion(trained, images, classes, BASELINE, size=6, stride=3)
    torch.testing.assert_close(ours, expected[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "layer"), [(8, "5"), (6, "2"), (2, "2")])
def test_an_earlier_map_is_taken_where_the_last_is_small(side, layer):
    found = layers_of(network(), torch.rand(1, 3, side, side))
    assert found.last_map == layer
    assert found.weighted[-1] == "10"


def test_a_network_without_a_map_says_so():
    resize = nn.Upsample(4)  # what becomes of the image before the first weights is no map of the network's
    mlp = nn.Sequential(resize, nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 2))
    images, classes = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    with pytest.raises(InputError, match=r"no feature map.*integrated_gradients or occlusion"):
        grad_cam(mlp, images, classes)
    assert occlusion(mlp, images, classes, BASELINE).shape == (2, 4, 4)
    assert penultimate(mlp, images).features.shape == (2, 8)


@pytest.mark.parametrize(
    ("name", "options", "side", "features"),
    [
        ("resnet18", {}, 4, 512),
        ("vit_tiny_patch16_224", {"img_size": 64}, None, 192),
        ("swin_tiny_patch4_window7_224", {"img_size": 64, "depths": (1, 1, 1, 1), "embed_dim": 24}, None, 192),
        ("convnext_atto", {}, 4, 320),
    ],
)
def test_backbones_of_timm(name, options, side, features):
    timm = pytest.importorskip("timm", reason="timm, whose networks are explained too, is not installed")
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=5, **options).eval()
    images, classes = torch.rand(2, 3, 128 if side else 64, 128 if side else 64), torch.tensor([1, 4])
    found = layers_of(net, images)
    assert net.get_submodule(found.head) is net.get_classifier()
    assert penultimate(net, images).features.shape == (2, features)
    if side is None:
        assert found.last_map is None
    else:
        assert found.maps[found.last_map] == (side, side)
        assert grad_cam(net, images, classes).any()


def test_a_network_that_enlarges_images_has_maps():
    net = nn.Sequential(nn.Upsample(24), *network()).eval()
    images, classes = torch.rand(2, 3, 6, 6), torch.tensor([0, 1])
    assert layers_of(net, images).maps["3"] == (24, 24)
    assert layers_of(net, images).last_map == "6"
    assert grad_cam(net, images, classes).shape == (2, 6, 6)


def test_a_network_without_gradients_says_so():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), Quantised(), nn.Flatten(), nn.Linear(64, 2))
    images, classes = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    net[4].requires_grad_(False)
    for method in (integrated_gradients, lambda *given: grad_cam(*given[:3], "1")):
        with pytest.raises(InputError, match="no gradient passes through the network; take occlusion"):
            method(net, images, classes, BASELINE)
    assert occlusion(net, images, classes, BASELINE).any()


class Quantised(nn.Module):
    def forward(self, x):
        return x.detach().mul(4).round()


def test_wrong_choices_are_refused(trained):
    images, classes = planted(2)
    with pytest.raises(InputError, match=r"layer: '55' is not known"):
        map_layer(trained, images, "55")
    with pytest.raises(InputError, match="gives a feature map"):
        grad_cam(trained, images, classes, "8")
    with pytest.raises(InputError, match="size: must be between 1 and 24"):
        occlusion(trained, images, classes, BASELINE, size=25)
    with pytest.raises(InputError, match="stride: must be between 1 and the size 4"):
        occlusion(trained, images, classes, BASELINE, size=4, stride=5)
    with pytest.raises(InputError, match="steps: must be at least 1"):
        integrated_gradients(trained, images, classes, BASELINE, steps=0)


def test_a_network_is_left_as_it_was(trained):
    images, classes = planted(2)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.train()
    try:
        for method in METHODS:
            maps_of(method, trained, images, classes)
        maps = grad_cam(trained, images, classes)
        sanity_check(trained, layers_of(trained, images).weighted, maps, lambda net: grad_cam(net, images, classes))
        assert all(module.training and not module._forward_hooks for module in trained.modules())
        assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
        assert all(parameter.grad is None or not images.requires_grad for parameter in trained.parameters())
    finally:
        trained.eval()


@pytest.mark.parametrize("method", METHODS)
def test_maps_of_a_trained_network_change_with_its_weights(method, trained):
    images, classes = planted(8, 5)
    maps, layers = maps_of(method, trained, images, classes), layers_of(trained, images).weighted
    found = sanity_check(trained, layers, maps, lambda net: maps_of(method, net, images, classes))
    assert found.explains
    assert [share for share, _ in found.cascade] == [0.2, 0.4, 0.8, 1.0]


def test_an_edge_detector_is_found_to_explain_nothing(trained):
    images, _ = planted(4, 6)

    def edges(_net):
        grey = images.mean(1)
        return nn.functional.pad(grey.diff(dim=1).abs(), (0, 0, 0, 1)) + nn.functional.pad(
            grey.diff(dim=2).abs(), (0, 1)
        )

    found = sanity_check(trained, layers_of(trained, images).weighted, edges(trained), edges)
    assert found.correlation == pytest.approx(1.0)
    assert not found.explains


def test_weights_become_random_from_the_head_down(trained):
    images, _ = planted(1)
    layers, changed = layers_of(trained, images).weighted, []

    def attribute(net):
        weights = ((name, net.get_submodule(name).weight, trained.get_submodule(name).weight) for name in layers)
        changed.append({name for name, value, known in weights if not torch.equal(value, known)})
        return images.mean(1)

    sanity_check(trained, layers, images.mean(1), attribute)
    assert changed[:4] == [{"10"}, {"8", "10"}, {"1", "4", "8", "10"}, {"0", "1", "4", "8", "10"}]
    assert all(one == set(layers) for one in changed[3:])


def test_random_weights_are_the_same_values_elsewhere(trained):
    names = ["8", "10"]
    other = randomised(trained, names, rng(0))
    for name, value in trained.named_parameters():
        shuffled = other.get_parameter(name)
        assert torch.equal(shuffled.flatten().sort().values, value.flatten().sort().values)
        if value.numel() > 2:
            assert torch.equal(shuffled, value) == (name.split(".")[0] not in names)


def test_rank_correlation_is_spearmans():
    scipy = pytest.importorskip("scipy.stats")
    first, second = torch.rand(3, 4, 5), torch.rand(3, 4, 5).mul(4).round()
    first[2] = 1.0
    ours = rank_correlation(first, second).tolist()
    assert ours[2] == 0.0
    expected = [scipy.spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first[:2], second[:2], strict=True)]
    assert ours[:2] == pytest.approx(expected)
    assert rank_correlation(first[:2], first[:2] * 3 - 1).tolist() == pytest.approx([1.0, 1.0])
    assert UNCHANGED < 1
