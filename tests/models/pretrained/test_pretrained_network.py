"""The network of a pretrained classifier: what it makes of images, which parts are frozen, and the rates of its layers."""

import math

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from seewhy.models import Classifier
from seewhy.models.pretrained import PretrainedNet, make_body, record_of
from seewhy.models.pretrained.objective import layers_of
from seewhy.optim import build, scale_rates

BACKBONES = [
    ("timm", "test_resnet"),
    ("timm", "test_vit"),
    ("timm", "test_convnext"),
    ("timm", "test_efficientnet"),
    ("timm", "test_byobnet"),
    ("timm", "mobilenetv3_small_050"),
    ("timm", "regnetx_002"),
    ("timm", "fastvit_t8"),
    ("timm", "swin_tiny_patch4_window7_224"),
    ("torchvision", "resnet18"),
    ("torchvision", "mobilenet_v3_small"),
]


def network(library="timm", name="test_resnet", classes=4, size=32, **options):
    record = record_of(library, name)
    torch.manual_seed(0)
    body, features = make_body(record, size)
    net = PretrainedNet(body, features, classes, record=record, input_size=size, **options)
    return Classifier(net, record.mean, record.std)


def images(count=6, side=20, channels=3):
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=random)


@pytest.mark.parametrize(("library", "name"), BACKBONES)
def test_layers_cover_each_parameter_of_the_body_once_in_order(library, name):
    model = network(library, name)
    layers = layers_of(model)
    assert [name for layer in layers for name in layer] == [
        f"net.body.{name}" for name, _ in model.net.body.named_parameters()
    ]
    assert len(layers) >= 4


def test_rates_are_shares_of_each_parameter_which_is_in_one_group():
    model = network()
    layers = layers_of(model)
    shares = {name: 0.1 ** (1 - k / len(layers)) for k, names in enumerate(layers) for name in names}
    optimizer = build("adamw", model.named_parameters(), lr=0.01, weight_decay=0.1)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    scale_rates(optimizer, shares)
    found = [(id(p), group) for group in optimizer.param_groups for p in group["params"]]
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sorted(key for key, _ in found) == sorted(map(id, trained.values()))
    by_parameter = dict(found)
    for name, parameter in trained.items():
        group = by_parameter[id(parameter)]
        assert math.isclose(group["lr"], 0.01 * shares.get(name, 1.0))
        assert group["weight_decay"] == decays[id(parameter)]
        assert name in group["param_names"]
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_images_are_fitted_as_in_the_evaluation_of_the_pretraining(name):
    """The independent twin is timm's own transform."""
    record = record_of("timm", name)
    pixels = np.asarray(
        Image.fromarray(images(1, 24)[0].permute(1, 2, 0).numpy()).resize((300, 300), Image.Resampling.BICUBIC)
    )
    config = timm.data.resolve_data_config({}, model=timm.create_model(name))
    expected = timm.data.create_transform(**config)(Image.fromarray(pixels))
    body, features = make_body(record, record.input_size)
    model = Classifier(
        PretrainedNet(body, features, 3, record=record, input_size=record.input_size), record.mean, record.std
    )
    seen = model.net.fit(model.normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]))[0]
    assert seen.shape == expected.shape
    assert (seen - expected).abs().max() < 0.05  # timm rounds to 8 bits in between


def test_grey_images_are_seen_in_three_equal_channels():
    model = network().eval()
    grey = images(channels=1)
    with torch.no_grad():
        assert torch.allclose(model(grey), model(grey.expand(-1, 3, -1, -1)), atol=1e-5)


def stepped(model, context, **options):
    """Take two steps of training in a context and return what the body's tensors were before."""
    before = {name: value.clone() for name, value in model.net.body.state_dict().items()}
    optimizer = build("adamw", model.named_parameters(), lr=0.1, weight_decay=0.1)
    model.train()
    for _ in range(2):
        with context(model):
            optimizer.zero_grad()
            F.cross_entropy(model(images()), torch.arange(6) % 4).backward()
            optimizer.step()
    return before


def test_no_bit_of_the_body_changes_while_the_head_is_trained():
    model = network()
    head = model.net.head.weight.detach().clone()
    before = stepped(model, lambda model: model.net.head_only())
    assert all(torch.equal(value, before[name]) for name, value in model.net.body.state_dict().items())
    assert not torch.equal(model.net.head.weight, head)
    assert model.net.body.training
    assert all(parameter.requires_grad for parameter in model.net.body.parameters())


def test_a_fixed_body_has_no_gradients_and_does_not_train():
    model = network(fixed=True)
    before = stepped(model, lambda model: torch.enable_grad())
    assert all(torch.equal(value, before[name]) for name, value in model.net.body.state_dict().items())
    assert not model.net.body.training


@pytest.mark.parametrize("frozen", [True, False])
def test_statistics_are_kept_where_they_are_frozen(frozen):
    model = network(frozen_statistics=frozen)
    before = stepped(model, lambda model: torch.enable_grad())
    kept = [
        torch.equal(value, before[name]) for name, value in model.net.body.state_dict().items() if "running" in name
    ]
    assert kept
    assert all(kept) == frozen
    assert not any(
        torch.equal(value, before[name]) for name, value in model.net.body.named_parameters() if "conv" in name
    )


def test_the_nearest_mean_is_by_cosines():
    random = torch.Generator().manual_seed(0)
    features, labels = torch.randn(40, 5, generator=random) + 3, torch.arange(40) % 4
    net = PretrainedNet(nn.Identity(), 5, 4, record=record_of("timm", "test_resnet"), input_size=32, scaled=True)
    net.standardise.measure(features)
    net.start_at_means(features, labels)
    centred = F.normalize((features - features.mean(0)).double())
    means = torch.stack([centred[labels == k].mean(0) for k in range(4)])
    expected = F.cosine_similarity(centred[:, None], means[None], dim=2)
    with torch.no_grad():
        assert torch.allclose(net.classify(features) / net.scale, expected.float(), atol=1e-5)
    assert [name for name, parameter in net.named_parameters() if parameter.requires_grad] == ["scale"]
