"""Identity start and recomputed statistics: the function stays, the statistics are exact."""

import pytest
import torch
from torch import multiprocessing, nn

import forkserver
from seewhy.core.errors import InputError
from seewhy.nn import BatchNorm
from seewhy.nn.batch_statistics import (
    NORM_INITS,
    insert_batch_norm,
    recompute_statistics,
    start_as_identity,
    start_as_standard,
)


def dense():
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 20), nn.Sequential(nn.Tanh()), nn.Linear(20, 3))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.GELU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)
    )


NETWORKS = {"dense": (dense, (60, 10)), "convolutional": (convolutional, (40, 3, 10, 10))}


def trained(name):
    """A network that has learned something, and a batch like those it learned from."""
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    net, x = make(), torch.randn(shape) + 0.5
    labels = torch.arange(shape[0]) % 3
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimiser.step()
    return net, x


@pytest.mark.parametrize("name", NETWORKS)
def test_inserting_leaves_the_function_of_a_trained_network(name):
    net, x = trained(name)
    other = torch.randn(x.shape) * 2
    with torch.no_grad():
        expected, elsewhere = net(x), net(other)
    inserted = insert_batch_norm(net, [x])
    assert inserted == (("1.norm", "3.0.norm") if name == "dense" else ("2.norm", "4.norm"))
    assert all(isinstance(net.get_submodule(name), BatchNorm) for name in inserted)
    with torch.no_grad():
        assert (net.eval()(x) - expected).abs().max() < 1e-5
        assert (net(other) - elsewhere).abs().max() < 1e-5
        assert (net.train()(x) - expected).abs().max() < 1e-5
    # It is a normalisation from now on: another batch is normalised by its own statistics in training.
    assert (net(other) - elsewhere).abs().max() > 1e-2
    net(x).sum().backward()
    assert all(net.get_submodule(name).weight.grad is not None for name in inserted)
    with pytest.raises(InputError, match="must have activations without a normalisation"):
        insert_batch_norm(net, [x])


@pytest.mark.parametrize("theirs", [False, True])
def test_enabling_leaves_the_function_without_normalisation(theirs):
    torch.manual_seed(0)
    norms = [nn.BatchNorm1d(8) if theirs else BatchNorm(8) for _ in range(2)]
    net = nn.Sequential(nn.Linear(5, 8), norms[0], nn.ReLU(), nn.Linear(8, 8), norms[1], nn.Tanh())
    plain = nn.Sequential(*[part for part in net if part not in norms])
    batches = [torch.randn(7, 5) * 3 + 1, torch.randn(20, 5) - 1]
    NORM_INITS["identity"].factory(net, batches)
    with torch.no_grad():
        for x in batches:
            assert (net.eval()(x) - plain(x)).abs().max() < 1e-5
        values = net[0](torch.cat(batches))
    torch.testing.assert_close(norms[0].running_mean, values.mean(0))
    torch.testing.assert_close(norms[0].running_var, values.var(0, correction=0))
    torch.testing.assert_close(norms[0].bias.detach(), values.mean(0))
    torch.testing.assert_close(norms[0].weight.detach(), (values.var(0, correction=0) + norms[0].eps).sqrt())
    start_as_standard(net, batches)
    assert torch.equal(norms[1].weight, torch.ones(8))
    assert torch.equal(norms[1].bias, torch.zeros(8))
    assert torch.equal(norms[1].running_mean, torch.zeros(8))
    assert torch.equal(norms[1].running_var, torch.ones(8))


def test_large_means_do_not_swallow_small_variances():
    norm, x = BatchNorm(3), torch.randn(500, 3) * 0.1 + 1000
    start_as_identity(norm, x.split(50))
    torch.testing.assert_close(norm.running_var, x.double().var(0, correction=0).float(), rtol=1e-3, atol=0)


def test_identity_needs_scale_data_and_activations_of_their_own():
    with pytest.raises(InputError, match=r"norm_init: 'identity' needs a learned scale and shift, which 1 lacks"):
        start_as_identity(nn.Sequential(nn.Linear(2, 2), BatchNorm(2, scale=False)), [torch.randn(4, 2)])
    with pytest.raises(InputError, match="batches: must reach every batch normalisation, but '1' was given nothing"):
        start_as_identity(nn.Sequential(nn.Linear(2, 2), BatchNorm(2)), [])
    with pytest.raises(InputError, match="batches: must hold at least one batch"):
        insert_batch_norm(dense(), [])
    act = nn.ReLU()

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act, self.layer = act, nn.Linear(2, 2)

        def forward(self, x):
            return self.act(self.layer(self.act(x)))

    with pytest.raises(InputError, match="module: act is used several times"):
        insert_batch_norm(Twice(), [torch.randn(4, 2)])


def averaged():
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3), BatchNorm(4), nn.Dropout(0.5), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)
    )
    return net, torch.randn(24, 2, 8, 8) * 2 + 1


def test_statistics_are_those_of_all_batches_together():
    net, x = averaged()
    net.eval()
    state = torch.get_rng_state()
    recompute_statistics(net, x.split(10))  # 10, 10, 4
    assert torch.equal(torch.get_rng_state(), state)
    assert not net.training
    with torch.no_grad():
        values = net[0](x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(net[1].running_mean, values.mean(1))
    torch.testing.assert_close(net[1].running_var, values.var(1))
    first = {key: value.clone() for key, value in net.named_buffers()}
    for value in net.buffers():
        value.fill_(7)
    recompute_statistics(net, reversed(x.split(10)))
    for key, value in net.named_buffers():
        if "num_batches" not in key:
            torch.testing.assert_close(value, first[key])


def test_deeper_layers_see_what_training_shows_them():
    net, x = averaged()
    recompute_statistics(net, [x])
    with torch.no_grad():
        normalised = nn.functional.batch_norm(net[0](x), None, None, net[1].weight, net[1].bias, training=True)
        values = net[4](normalised.relu()).transpose(0, 1).flatten(1)
    torch.testing.assert_close(net[5].running_mean, values.mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net[5].running_var, values.var(1), atol=1e-5, rtol=1e-4)


def share(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    net, x = averaged()
    recompute_statistics(net[:2], [x[:9] if rank == 0 else x[9:]])
    torch.save([net[1].running_mean, net[1].running_var], f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_pool_their_batches(tmp_path):
    forkserver.context()
    multiprocessing.start_processes(share, (str(tmp_path),), nprocs=2, start_method="forkserver")
    net, x = averaged()
    recompute_statistics(net[:2], [x])
    for rank in (0, 1):
        mean, var = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(mean, net[1].running_mean)
        torch.testing.assert_close(var, net[1].running_var)


def test_records_are_complete():
    for technique in NORM_INITS:
        assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
        assert technique.qualified_name.startswith("seewhy.nn.")
