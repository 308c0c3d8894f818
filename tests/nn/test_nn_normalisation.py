"""Batch normalisation against its formula, alone and over processes; the other norms' axes."""

import pytest
import torch
from torch import multiprocessing, nn

import forkserver
from seewhy.core.errors import InputError
from seewhy.nn import NORMS, BatchNorm, norm

SHAPES = [(12, 5), (6, 5, 4, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [True, False])
def test_batch_norm_is_its_formula(shape, scale):
    layer = BatchNorm(5, scale=scale, momentum=0.3, eps=1e-3).double()
    with torch.no_grad():
        layer.bias.normal_()
        if scale:
            layer.weight.normal_()
    x = torch.randn(shape, dtype=torch.float64) * 3 + 2
    axes = [0, *range(2, x.dim())]
    view = (1, 5, *[1] * (x.dim() - 2))
    mean, var = x.mean(axes), x.var(axes, unbiased=False)
    gamma = layer.weight if scale else torch.ones(5, dtype=torch.float64)
    expected = gamma.view(view) * (x - mean.view(view)) / (var.view(view) + 1e-3).sqrt() + layer.bias.view(view)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.running_mean, 0.3 * mean)
    torch.testing.assert_close(layer.running_var, 0.7 + 0.3 * x.var(axes, unbiased=True))
    layer.eval()
    mean, var = layer.running_mean, layer.running_var
    expected = gamma.view(view) * (x - mean.view(view)) / (var.view(view) + 1e-3).sqrt() + layer.bias.view(view)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x[:1]), expected[:1])


def test_gradients():
    layer = BatchNorm(3).double()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_second_derivatives_by_inputs_and_parameters(scale, training):
    layer = BatchNorm(3, scale=scale, momentum=0.0).double().train(training)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(run, (x, *layer.parameters()))


def test_one_value_per_feature_is_refused_in_training_only():
    layer = BatchNorm(4)
    for shape in ((1, 4), (1, 4, 1, 1)):
        with pytest.raises(InputError, match=r"x: batch normalisation needs more than one value"):
            layer.train()(torch.zeros(shape))
        layer.eval()(torch.zeros(shape))


@pytest.mark.parametrize(("name", "groups"), [("layer", 1), ("group", 2), ("instance", 32)])
def test_layer_group_and_instance_normalise_each_image(name, groups):
    x = torch.randn(3, 32, 4, 4) * 5 + 1
    y = norm(name, 32, dims=2)(x).reshape(3, groups, -1)
    torch.testing.assert_close(y.mean(2), torch.zeros(3, groups), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(2, unbiased=False), torch.ones(3, groups), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["layer", "group", "instance", "none"])
def test_single_images_are_treated_as_in_batches(name):
    layer, x = norm(name, 16, dims=2), torch.randn(5, 16, 3, 3)
    torch.testing.assert_close(torch.cat([layer(row[None]) for row in x]), layer(x))
    assert torch.equal(layer.eval()(x), layer.train()(x))


def test_instance_is_refused_where_there_is_one_position():
    with pytest.raises(
        InputError, match=r"norm: 'instance' normalises over the positions of a map, which dense layers do not have"
    ):
        norm("instance", 4, dims=1)
    layer = norm("instance", 4, dims=2)
    for mode in (True, False):
        with pytest.raises(
            InputError, match=r"norm: 'instance' normalises over positions, .*got a map of shape \(1, 1\)"
        ):
            layer.train(mode)(torch.zeros(2, 4, 1, 1))
    assert layer(torch.zeros(2, 4, 1, 2)).shape == (2, 4, 1, 2)


def test_options_are_those_of_the_formulas():
    x = torch.randn(5, 12, 3, 3) * 0.1
    for name, groups, eps in (("layer", 1, 0.5), ("group", 4, 0.25), ("instance", 12, 0.125)):
        layer = norm(name, 12, dims=2, eps=eps, **({"groups": groups} if name == "group" else {}))
        rows = x.reshape(5, groups, -1)
        expected = (rows - rows.mean(2, keepdim=True)) / (rows.var(2, unbiased=False, keepdim=True) + eps).sqrt()
        torch.testing.assert_close(layer(x), expected.reshape(x.shape), atol=1e-5, rtol=1e-5)
    layer = norm("batch", 12, dims=2, momentum=0.25, eps=0.5)
    assert (layer.momentum, layer.eps) == (0.25, 0.5)
    assert norm("layer", 12, dims=1, eps=0.5).eps == 0.5
    assert norm("group", 48, dims=2).num_groups == 3
    assert norm("group", 48, dims=2, groups=None).num_groups == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("group", {"groups": 5}, r"groups: must be a divisor of the number of features, 12, got 5"),
        ("group", {"eps": 0.0}, r"eps: must be more than 0 and finite, got 0\.0"),
        ("batch", {"momentum": 1.5}, r"momentum: must be at least 0 and at most 1, got 1\.5"),
        ("layer", {"momentum": 0.1}, r"momentum: is an option of batch, got 0\.1 with 'layer'; leave it out"),
        (
            "none",
            {"eps": 0.1},
            r"eps: is an option of batch, layer, group, instance, got 0\.1 with 'none'; leave it out",
        ),
        ("batsh", {}, r"norm: 'batsh' is not known; .*did you mean 'batch'"),
    ],
)
def test_options_out_of_range_or_of_others_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        norm(name, 12, dims=2, **options)


@pytest.mark.parametrize("name", ["layer", "group"])
def test_a_single_value_gives_beta(name):
    layer = norm(name, 1, dims=2)
    torch.nn.init.constant_(layer.bias, 0.5)
    torch.testing.assert_close(layer(torch.randn(3, 1, 1, 1)), torch.full((3, 1, 1, 1), 0.5), atol=1e-3, rtol=0)


def test_two_images_are_enough_for_batch():
    y = BatchNorm(3)(torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, 1e-3]]))
    torch.testing.assert_close(y[:, :2], torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), atol=1e-4, rtol=0)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", NORMS.names())
def test_contract(name):
    torch.manual_seed(0)
    layer, copy = norm(name, 16, dims=2), norm(name, 16, dims=2)
    x = torch.randn(4, 16, 5, 3)
    for last in (x, x.contiguous(memory_format=torch.channels_last)):
        y = layer(last)
        assert y.shape == x.shape
        assert y.is_contiguous(memory_format=torch.channels_last) == last.is_contiguous(
            memory_format=torch.channels_last
        )
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy.eval()(x), layer.eval()(x))
    torch.compiler.reset()
    expected = layer.train()(x)
    for mode in (True, False):
        expected = layer.train(mode)(x)
        torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), expected)
    torch.testing.assert_close(torch.export.export(layer.eval(), (x,)).module()(x), layer(x))
    small = x[:2, :, :2, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(norm(name, 16, dims=2).double(), (small,))


@pytest.mark.parametrize(
    ("features", "size"),
    [(1, 1), (3, 3), (10, 10), (16, 16), (24, 24), (37, 37), (50, 25), (64, 16), (72, 18), (100, 20)],
)
def test_group_takes_any_number_of_features(features, size):
    assert features // norm("group", features, dims=2).num_groups == size


def test_none_changes_nothing():
    assert isinstance(norm("none", 4, dims=1), nn.Identity)


def whole(shape, scale):
    """One process on the whole batch: output, gradients and statistics of a loss that weighs each value differently."""
    torch.manual_seed(0)
    layer = BatchNorm(shape[1], scale=scale)
    x = (torch.randn(shape) * 2 + 30).requires_grad_()
    weights = torch.randn(shape)
    with torch.no_grad():
        layer.bias.uniform_(-1, 1)
    return layer, x, weights


CASES = [((9, 4), 4, True), ((7, 3, 5, 4), 2, False), ((5, 3, 2, 2), 0, True)]
"""Shape of the whole batch, images of the first process, whether there is a scale."""


def two_steps(layer, x, weights):
    """Return output and gradients of the second of two steps, and the statistics after both."""
    for _ in range(2):
        x.grad = None
        layer.zero_grad()
        y = layer(x)
        (y * weights).sum().backward()
    return y.detach(), x.grad, layer.running_mean, layer.running_var, [p.grad for p in layer.parameters()]


def share(rank, folder):
    """One of two processes: its share of each batch, the rows before or after the cut."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    results = []
    for shape, cut, scale in CASES:
        layer, x, weights = whole(shape, scale)
        part = slice(0, cut) if rank == 0 else slice(cut, None)
        results.append(two_steps(layer, x.detach()[part].requires_grad_(), weights[part]))
    torch.save(results, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_normalise_like_one(tmp_path):
    forkserver.context()
    multiprocessing.start_processes(share, (str(tmp_path),), nprocs=2, start_method="forkserver")
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for (shape, _, scale), first, second in zip(CASES, *parts, strict=True):
        y, gradient, mean, var, gradients = two_steps(*whole(shape, scale))
        close = {"atol": 1e-4, "rtol": 1e-4}
        torch.testing.assert_close(torch.cat([first[0], second[0]]), y, **close)
        torch.testing.assert_close(torch.cat([first[1], second[1]]), gradient, **close)
        for index, expected in ((2, mean), (3, var)):
            torch.testing.assert_close(first[index], expected, **close)
            assert torch.equal(first[index], second[index])
        for ours, theirs, expected in zip(first[4], second[4], gradients, strict=True):
            torch.testing.assert_close(ours + theirs, expected, atol=3e-4, rtol=1e-4)
