"""Row LSTM and Diagonal BiLSTM by one set of tests: causal, distributions, sampled alike with and without caches."""

import pytest
import torch
from raster_cases import (
    RASTERS,
    dependence,
    probabilities,
    random_values,
    randomised,
    sampled_as_enumerated,
    some_labels,
)

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.loss import log_likelihood
from seewhy.models.autoregressive.networks import lstm
from seewhy.models.autoregressive.networks.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.networks.recurrence import recur
from seewhy.models.autoregressive.networks.row_lstm import RowLSTM
from seewhy.models.autoregressive.networks.skew import diagonals, rows
from seewhy.models.autoregressive.sampling import sample_raster

NETWORKS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}

every_network = pytest.mark.parametrize("name", NETWORKS)
every_raster = pytest.mark.parametrize("raster", RASTERS)


def build(name, raster="image", seed=0, **options):
    shape, levels, classes = RASTERS[raster]
    settings = {"classes": classes, "width": 6, "depth": 2, "first_kernel_size": 3} | options
    return randomised(NETWORKS[name](shape, levels, **settings), seed)


@every_network
@every_raster
@pytest.mark.parametrize("depth", [1, 3])
def test_nothing_at_or_after_a_value_is_seen(name, raster, depth, monkeypatch):
    derivatives = dependence(build(name, raster, depth=depth), lstm, monkeypatch, seeds=1)
    assert derivatives.triu().abs().max() == 0.0
    assert derivatives.tril(-1).max() > 0.0


@pytest.mark.parametrize("sides", [(3,), (2, 3), (2, 2, 2)])
@pytest.mark.parametrize("order", [rows, diagonals])
def test_recurrence_by_finite_differences(order, sides):
    torch.manual_seed(0)
    scan = order(sides, torch.device("cpu"))
    ways = len(scan.shifts)
    x = torch.randn(ways, 8, sum(scan.sizes), 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(ways, 8, 2 * len(scan.offsets), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: recur(x, weight, scan), (x, weight), fast_mode=True)


@every_network
def test_probabilities_of_all_images_sum_to_1(name):
    net = randomised(NETWORKS[name]((1, 3, 3), 2, width=8, depth=2, first_kernel_size=3))
    rasters, chances = probabilities(net)
    assert len(rasters) == 512
    assert chances.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert chances.max() > 5 * chances.min()
    torch.testing.assert_close(log_likelihood(net, rasters), chances.log().float(), rtol=1e-4, atol=1e-4)


@every_network
@every_raster
def test_cached_and_uncached_sampling_agree(name, raster):
    net = build(name, raster)
    values, labels = random_values(net.shape, net.levels, n=3), some_labels(net.classes, 3)
    given = torch.zeros_like(values, dtype=torch.bool)
    given[:, :, 0] = True
    cached, plain = (
        sample_raster(net, values, given, labels, rng=torch.Generator().manual_seed(1), cached=not plain)
        for plain in (False, True)
    )
    assert torch.equal(cached, plain)
    assert torch.equal(cached[given], values[given])
    other = sample_raster(net, values, given, labels, rng=torch.Generator().manual_seed(2))
    assert not torch.equal(cached, other)


@every_network
def test_samples_follow_the_enumerated_distribution(name):
    net = randomised(NETWORKS[name]((2, 2, 2), 2, classes=2, width=4, depth=1, first_kernel_size=3), seed=1, scale=0.7)
    assert sampled_as_enumerated(net, label=1) > 1e-3


@pytest.mark.parametrize("order", [rows, diagonals])
def test_scans_cached_by_sampling_serve_training(order):
    with torch.inference_mode():
        scan = order((2, 11), torch.device("cpu"))
    assert not scan.reads.is_inference()


@every_network
def test_training_goes_on_after_sampling(name):
    with torch.inference_mode():
        net = NETWORKS[name]((1, 3, 7), 2, width=4, first_kernel_size=3)
        sample_raster(net, random_values(net.shape, 2), cached=False)
    net = NETWORKS[name]((1, 3, 7), 2, width=4, first_kernel_size=3)
    net(random_values(net.shape, 2)).sum().backward()
    assert net.net.layers[0].state.grad is not None


@every_network
def test_classes_are_biases_of_the_gates(name):
    net = build(name, "colour image")
    values = random_values(net.shape, net.levels, n=1).expand(2, -1, -1, -1)
    labels = torch.tensor([0, 1])
    assert not torch.allclose(*net(values, labels))
    with torch.no_grad():
        for layer in net.net.layers:
            layer.below.bias += layer.condition[:, 1:]
            layer.condition.zero_()
    bare = build(name, "colour image")(values, torch.ones_like(labels))
    torch.testing.assert_close(net(values, labels), bare)


@every_network
@pytest.mark.parametrize("levels", [2, 256])
def test_bf16_is_near_float32(name, levels):
    torch.manual_seed(0)
    net = NETWORKS[name]((1, 6, 5), levels, width=8, depth=2)
    values = random_values(net.shape, levels)
    exact = net(values)
    with torch.autocast("cpu", torch.bfloat16):
        near = net(values)
        near.logsumexp(1).sum().backward()
    assert near.dtype == torch.float32
    assert near.shape == (2, levels, 1, 6, 5)
    torch.testing.assert_close(near, exact, rtol=0.05, atol=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@every_network
def test_state_dict_goes_round(name):
    net, other = build(name, "clip", seed=0), build(name, "clip", seed=1)
    values, labels = random_values(net.shape, net.levels), some_labels(net.classes)
    assert not torch.equal(net(values, labels), other(values, labels))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(values, labels), other(values, labels))


@every_network
@pytest.mark.parametrize(
    ("shape", "levels", "options", "named"),
    [
        ((1,), 2, {}, "shape"),
        ((1, 2, 2, 2, 2), 2, {}, "shape"),
        ((1, 4, 0), 2, {}, "shape"),
        ((1, 4, 4), 1, {}, "levels"),
        ((1, 4, 4), 257, {}, "levels"),
        ((1, 4, 4), 2, {"classes": 0}, "classes"),
        ((3, 4, 4), 2, {"width": 2}, "width"),
        ((1, 4, 4), 2, {"depth": 0}, "depth"),
        ((1, 4, 4), 2, {"first_kernel_size": 4}, "kernel"),
        ((1, 4, 4), 2, {"first_kernel_size": 1}, "kernel"),
    ],
)
def test_bad_input_is_named(name, shape, levels, options, named):
    with pytest.raises(InputError, match=named):
        NETWORKS[name](shape, levels, **options)


@every_network
def test_values_and_labels_must_fit(name):
    net = NETWORKS[name]((1, 4, 4), 2, classes=3, width=2)
    values = torch.zeros(2, 1, 4, 4, dtype=torch.int64)
    with pytest.raises(InputError, match="labels"):
        net(values)
    with pytest.raises(InputError, match="labels"):
        net(values, torch.tensor([0, 3]))
    with pytest.raises(InputError, match="values"):
        net(values[:, :, :3], torch.tensor([0, 1]))
