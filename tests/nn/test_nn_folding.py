"""Folding: equal outputs, and what is left alone."""

import copy

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import (
    BatchNorm,
    ConvNormAct,
    DropConnectConv2d,
    DropConnectLinear,
    Dropout,
    FractionalMaxPool2d,
    Parts,
    ResidualBlock,
)
from seewhy.nn.folding import fold

LAYERS = {
    "linear": (lambda: nn.Linear(4, 6), (5, 4), 6),
    "no bias": (lambda: nn.Conv2d(4, 6, 3, bias=False), (2, 4, 6, 5), 6),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 5), 6),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 3, 3), 6),
    "one axis": (lambda: nn.Conv1d(4, 6, 3), (2, 4, 7), 6),
}


def stir(module):
    """Give every normalisation statistics, scales and shifts of its own, half of the scales negative."""
    for part in module.modules():
        if isinstance(part, BatchNorm | nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.2, 3)
            for parameter in part.parameters():
                nn.init.normal_(parameter)
    return module.eval()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("theirs", [False, True])
def test_layers(kind, theirs):
    torch.manual_seed(0)
    make, shape, features = LAYERS[kind]
    norms = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    norm = norms[len(shape)](features) if theirs else BatchNorm(features)
    net = stir(nn.Sequential(make(), nn.Dropout(0.5), norm, nn.ReLU()))
    before = copy.deepcopy(net.state_dict())
    result = fold(net)
    assert result.folded == ("2",)
    assert result.unfolded == ()
    x = torch.randn(shape)
    torch.testing.assert_close(result.module(x), net(x), atol=1e-5, rtol=1e-5)
    assert isinstance(result.module[2], nn.Identity)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in before.items())


PARTS = Parts("relu", "batch", scale=False)  # so that maxima commute
NETWORKS = {
    "dense": lambda: nn.Sequential(nn.Flatten(), *PARTS.hidden(3 * 16 * 16, 20), Dropout(0.2), *PARTS.hidden(20, 10)),
    "convolutional": lambda: nn.Sequential(
        ConvNormAct(3, 8, PARTS), nn.Sequential(PARTS.conv(8, 8, kernel=3), nn.MaxPool2d(2), *PARTS.after(8, dims=2))
    ),
    "residual": lambda: nn.Sequential(
        ConvNormAct(3, 8, PARTS), ResidualBlock(8, 8, PARTS), ResidualBlock(8, 16, PARTS, stride=2, survival=0.8)
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    torch.manual_seed(0)
    whole = stir(NETWORKS[name]())
    images = torch.randn(4, 3, 16, 16)
    norms = [key for key, part in whole.named_modules() if isinstance(part, BatchNorm)]
    result = fold(whole)
    assert sorted(result.folded) == sorted(norms)
    torch.testing.assert_close(result.module(images), whole(images), atol=1e-4, rtol=1e-4)
    assert not any(isinstance(part, BatchNorm) for part in result.module.modules())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_maximum_commutes_with_positive_scales_only(sign):
    torch.manual_seed(0)
    net = stir(nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2, padding=1), BatchNorm(4)))
    with torch.no_grad():
        net[2].weight.abs_()
        net[2].weight[1] *= sign
    result = fold(net)
    x = torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(result.module(x), net(x), atol=1e-5, rtol=1e-5)
    if sign > 0:
        assert result.folded == ("2",)
    else:
        assert result.unfolded == (
            ("2", "a maximum stands before it, which does not commute with its negative scales"),
        )


class Forked(nn.Module):
    """Layers and normalisations in shapes that cannot be folded."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.norm, self.other = BatchNorm(3), BatchNorm(3)
        self.act = nn.ReLU()
        if kind == "tied":
            self.second.weight = self.first.weight

    def forward(self, x):
        if self.kind == "output used twice":
            y = self.first(x)
            return self.norm(y) + y
        if self.kind == "norm used twice":
            return self.norm(self.second(self.norm(self.first(x))))
        if self.kind == "layer used twice":
            return self.first(self.norm(self.first(x)))
        if self.kind == "tied":
            return self.second(self.norm(self.first(x)))
        if self.kind == "activation between":
            return self.norm(self.act(self.first(x)))
        return self.norm(x)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("output used twice", "the output of first is used elsewhere too"),
        ("norm used twice", "it is used several times"),
        ("layer used twice", "first is used several times"),
        ("tied", "first is used several times"),
        ("activation between", "act (ReLU) stands before it"),
        ("nothing before", "no linear or convolution layer stands before it"),
    ],
)
def test_what_is_not_exact_stays_and_says_why(kind, reason):
    torch.manual_seed(0)
    net = stir(Forked(kind))
    result = fold(net)
    assert result.folded == ()
    assert result.unfolded == (("norm", reason),)
    x = torch.randn(4, 3)
    assert torch.equal(result.module(x), net(x))


class Activated(nn.BatchNorm1d):
    """Inherits from a normalisation, and does more."""

    def forward(self, x):
        return super().forward(x).relu()


class Tripled(nn.Identity):
    """Inherits from a layer that does nothing, and does something."""

    def forward(self, x):
        return 3 * x


class Shifted(nn.MaxPool1d):
    def forward(self, x):
        return super().forward(x) + 1


def replaced():
    norm = nn.BatchNorm1d(4)
    norm.forward = lambda x: 2 * x
    return norm


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([Activated(4)], "it has a forward of its own"),
        ([replaced()], "it has a forward of its own"),
        ([Tripled(), nn.BatchNorm1d(4)], "1 (Tripled) stands before it"),
        ([Shifted(2), nn.BatchNorm1d(4)], "1 (Shifted) stands before it"),
        ([Dropout(0.5, kind="classic"), nn.BatchNorm1d(4)], "1 (Dropout) stands before it"),
    ],
)
def test_what_only_inherits_is_kept(parts, reason):
    torch.manual_seed(0)
    net = stir(nn.Sequential(nn.Conv1d(3, 4, 3), *parts))
    result = fold(net)
    assert [why for _, why in result.unfolded] == [reason]
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(result.module(x), net(x))


@pytest.mark.parametrize("part", [Dropout(0.5), FractionalMaxPool2d(1.5)], ids=lambda part: type(part).__name__)
def test_own_dropout_and_pooling_may_stand_between(part):
    torch.manual_seed(0)
    net = stir(nn.Sequential(nn.Conv2d(2, 4, 3), part, BatchNorm(4)))
    with torch.no_grad():
        net[2].weight.abs_()
    result = fold(net)
    assert result.folded == ("2",)
    x = torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(result.module(x), net(x), atol=1e-5, rtol=1e-5)


class Read(nn.Module):
    """Weights are used without the module that owns them."""

    def __init__(self, whose):
        super().__init__()
        self.first, self.norm, self.whose = nn.Linear(3, 3), BatchNorm(3), whose

    def forward(self, x):
        weight = self.first.weight if self.whose == "first" else self.norm.bias
        return self.norm(self.first(x)) * weight.sum()


@pytest.mark.parametrize(
    ("whose", "reason"), [("first", "first is used several times"), ("norm", "its weights are used elsewhere too")]
)
def test_weights_that_are_read_elsewhere_are_kept(whose, reason):
    net = stir(Read(whose))
    result = fold(net)
    assert result.unfolded == (("norm", reason),)
    x = torch.randn(4, 3)
    assert torch.equal(result.module(x), net(x))


def test_arguments_may_be_named():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(input=self.first(input=x))

    net, x = stir(Named()), torch.randn(4, 3)
    result = fold(net)
    assert result.folded == ("norm",)
    torch.testing.assert_close(result.module(x), net(x), atol=1e-5, rtol=1e-5)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.ReLU()

    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else x


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(InputError, match=r"module: fold must be able to trace Branching.forward"):
        fold(Branching())


class Doubled(nn.Linear):
    """Inherits from a plain layer, and is none."""

    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [DropConnectLinear(4, 6), DropConnectConv2d(4, 6, 3), Doubled(4, 6)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_with_a_forward_of_its_own_is_kept(layer):
    net = stir(nn.Sequential(layer, BatchNorm(6)))
    result = fold(net)
    assert result.unfolded == (("1", f"0 ({type(layer).__name__}) has a forward of its own"),)
    x = torch.randn(3, 4, 5, 5) if isinstance(layer, nn.Conv2d) else torch.randn(3, 4)
    torch.testing.assert_close(result.module(x), net(x))


@pytest.mark.parametrize(("hooked", "reason"), [("0", "0 has hooks"), ("1", "it has hooks")])
def test_hooks_are_kept(hooked, reason):
    net = stir(nn.Sequential(nn.Linear(4, 6), BatchNorm(6)))
    net.get_submodule(hooked).register_forward_hook(lambda _module, _inputs, y: y + 1)
    result = fold(net)
    assert result.unfolded == (("1", reason),)
    x = torch.randn(3, 4)
    torch.testing.assert_close(result.module(x), net(x))


def test_a_normalisation_with_two_names_is_applied_once():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = BatchNorm(6)
            self.body = nn.Sequential(nn.Linear(4, 6), self.norm, nn.ReLU())

        def forward(self, x):
            return self.body(x)

    both = stir(Both())
    x = torch.randn(3, 4)
    torch.testing.assert_close(fold(both).module(x), both(x), atol=1e-5, rtol=1e-5)


def test_sequences_behind_a_linear_layer_are_refused():
    net = stir(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)))
    folded = fold(net).module
    with pytest.raises(InputError, match=r"2 axes \(N, D\)"):
        folded(torch.randn(3, 6, 4))
