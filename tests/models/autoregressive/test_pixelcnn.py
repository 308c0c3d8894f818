"""PixelCNN and gated PixelCNN by one set of tests: what they see, that they are distributions, and that cached sampling is uncached sampling."""

from functools import partial

import pytest
import torch
from raster_cases import (
    RASTERS,
    dependence,
    in_order,
    probabilities,
    random_values,
    randomised,
    sampled_as_enumerated,
    some_labels,
)

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.loss import log_likelihood
from seewhy.models.autoregressive.networks import gated_pixelcnn, pixelcnn
from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedPixelCNN
from seewhy.models.autoregressive.networks.pixelcnn import PixelCNN
from seewhy.models.autoregressive.sampling import cursor_of, sample_raster

NETWORKS = {"pixelcnn": PixelCNN, "gated_pixelcnn": GatedPixelCNN}
MODULES = {"pixelcnn": pixelcnn, "gated_pixelcnn": gated_pixelcnn}

every_network = pytest.mark.parametrize("name", NETWORKS)
every_raster = pytest.mark.parametrize("raster", RASTERS)


def build(name, raster="image", seed=0, **options):
    shape, levels, classes = RASTERS[raster]
    settings = {"classes": classes, "width": 8, "depth": 2, "first_kernel_size": 5} | options
    return randomised(NETWORKS[name](shape, levels, **settings), seed)


@every_network
@every_raster
@pytest.mark.parametrize("depth", [1, 3])
def test_nothing_at_or_after_a_value_is_seen(name, raster, depth, monkeypatch):
    derivatives = dependence(build(name, raster, depth=depth), MODULES[name], monkeypatch, seeds=1)
    assert derivatives.triu().abs().max() == 0.0
    assert derivatives.tril(-1).max() > 0.0


@every_raster
def test_gated_sees_everything_before(raster, monkeypatch):
    derivatives = dependence(
        build("gated_pixelcnn", raster, depth=3, kernel_size=5, width=24), gated_pixelcnn, monkeypatch
    )
    before = torch.ones_like(derivatives, dtype=torch.bool).tril(-1)
    assert (derivatives[before] > 0.0).all()


def test_pixelcnn_has_a_blind_spot_and_gated_has_none(monkeypatch):
    shape = (1, 4, 9)
    indices = in_order(shape)
    i, j = indices.index((0, 3, 0)), indices.index((0, 2, 8))  # far to the right, a row above
    for name, blind in (("pixelcnn", True), ("gated_pixelcnn", False)):
        net = randomised(NETWORKS[name](shape, 2, width=8, depth=7, first_kernel_size=5))
        with monkeypatch.context() as patch:
            assert (dependence(net, MODULES[name], patch)[i, j] == 0.0) == blind


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
def test_cached_logits_are_those_of_the_whole_network(name, raster):
    net = build(name, raster, depth=3)
    values = random_values(net.shape, net.levels, n=3)
    labels = some_labels(net.classes, 3)
    with torch.no_grad():
        whole = net(values, labels)
    filled = torch.zeros_like(values)
    cursor = cursor_of(net, filled, labels)
    for colour, *position in in_order(net.shape):
        index = (slice(None), colour, *position)
        torch.testing.assert_close(
            cursor.logits(tuple(position), colour), whole[(slice(None), *index)], rtol=1e-4, atol=1e-4
        )
        filled[index] = values[index]


@every_network
@every_raster
@pytest.mark.parametrize("part", [False, True])
def test_cached_and_uncached_sampling_agree(name, raster, part):
    net = build(name, raster)
    values, labels = random_values(net.shape, net.levels, n=4), some_labels(net.classes, 4)
    given = torch.rand(4, *net.shape, generator=torch.Generator().manual_seed(3)) < 0.3 if part else None
    samples = [
        sample_raster(net, values, given, labels, rng=torch.Generator().manual_seed(1), cached=not plain)
        for plain in (True, False)
    ]
    assert torch.equal(*samples)
    if given is not None:
        assert torch.equal(samples[1][given], values[given])


@every_network
def test_long_lines_are_sampled_in_stretches(name):
    net = randomised(NETWORKS[name]((1, 2, 150), 3, width=4, depth=2, first_kernel_size=7))
    values = torch.zeros(2, 1, 2, 150, dtype=torch.uint8)
    samples = [
        sample_raster(net, values, rng=torch.Generator().manual_seed(1), cached=not plain) for plain in (True, False)
    ]
    assert torch.equal(*samples)


@every_network
def test_samples_follow_the_enumerated_distribution(name):
    net = randomised(NETWORKS[name]((2, 1, 2), 2, classes=2, width=4, depth=2, first_kernel_size=3), seed=1, scale=0.7)
    assert sampled_as_enumerated(net, label=1) > 1e-3


@every_network
def test_classes_change_the_distribution(name):
    net = build(name, "colour image")
    values = random_values(net.shape, net.levels, n=1)
    first, second = (log_likelihood(net, values, torch.tensor([label])) for label in (0, 1))
    assert abs(first - second).item() > 1e-2


@every_network
@every_raster
def test_learns_in_bfloat16(name, raster):
    shape, levels, classes = RASTERS[raster]
    net = NETWORKS[name](shape, levels, classes=classes, width=8, depth=2, first_kernel_size=5)
    values, labels = random_values(shape, levels, n=4), some_labels(classes, 4)
    exact = net(values, labels)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(values, labels)
        loss = -log_likelihood(net, values.to(torch.uint8), labels).mean()
    loss.backward()
    assert logits.dtype == torch.float32
    assert logits.shape == (4, levels, *shape)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.05)
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@every_network
def test_a_few_steps_learn_a_pattern(name):
    torch.manual_seed(0)
    net = NETWORKS[name]((1, 4, 4), 2, width=8, depth=2, first_kernel_size=3)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    board = (rows + columns) % 2
    values = torch.stack([board, 1 - board])[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = -log_likelihood(net, values).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.0  # log 2 = 0.69 is the least: which of the two boards
    samples = sample_raster(
        net.eval(), torch.zeros(8, 1, 4, 4, dtype=torch.int64), rng=torch.Generator().manual_seed(0)
    )
    assert all(any(torch.equal(each, board) for board in values) for each in samples)


@every_network
def test_state_dict_goes_round(name):
    net, other = build(name, "colour image", seed=0), build(name, "colour image", seed=1)
    values, labels = random_values(net.shape, net.levels), some_labels(net.classes)
    assert not torch.equal(net(values, labels), other(values, labels))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(values, labels), other(values, labels))


@every_network
def test_a_cursor_leaves_no_trace_in_the_network(name):
    net = build(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    samples = sample_raster(net, torch.zeros(2, *net.shape, dtype=torch.int64))
    (-log_likelihood(net, samples).mean()).backward()  # samples can be learned from
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@every_network
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shape": (1,)}, "shape"),
        ({"shape": (1, 2, 2, 2, 2)}, "shape"),
        ({"shape": (1, 0, 2)}, "shape"),
        ({"levels": 1}, "levels"),
        ({"levels": 257}, "levels"),
        ({"classes": 0}, "classes"),
        ({"depth": 0}, "depth"),
        ({"first_kernel_size": 4}, "first_kernel_size"),
        ({"first_kernel_size": 1}, "first_kernel_size"),
        ({"kernel_size": 2}, "kernel_size"),
        ({"shape": (3, 4, 4), "width": 2}, "width"),
    ],
)
def test_bad_settings_are_refused(name, options, match):
    settings = {"shape": (1, 4, 4), "levels": 2} | options
    with pytest.raises(InputError, match=match):
        NETWORKS[name](**settings)


@every_network
def test_bad_input_is_refused(name):
    net = build(name, "colour image")
    values, labels = random_values(net.shape, net.levels), some_labels(net.classes)
    for call in (net, partial(cursor_of, net)):
        with pytest.raises(InputError, match="values: must have the network's shape"):
            call(values[:, :2], labels)
        with pytest.raises(InputError, match="int64 or uint8"):
            call(values.float(), labels)
        with pytest.raises(InputError, match="labels"):
            call(values)
        with pytest.raises(InputError, match="labels"):
            call(values, labels[:1])
        with pytest.raises(InputError, match="from 0 to 1"):
            call(values, labels + 1)
