"""A watch that goes on where another one stopped measures and says what one watch of the whole loop does."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import seewhy
from seewhy.diagnosis.history import Entry, plain

STEPS = 60


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))


def steps(model, optimizer, why, first, last):
    for step in range(first, last):
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(torch.randn(40, 6)), torch.randint(3, (40,)))
        loss.backward()
        optimizer.step()
        if step % 9 == 8:
            why.observe(val_loss=loss.item())


@pytest.mark.parametrize("stop", [1, 2, 6, 10, 11, 25, 29, 41])
def test_what_goes_on_is_as_if_it_had_not_stopped(stop):
    entries, whole = [], []
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    with seewhy.watch(model, optimizer, tell=None, record=whole.append) as expected:
        steps(model, optimizer, expected, 0, STEPS)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.9)
    with seewhy.watch(model, optimizer, tell=None, record=entries.append) as why:
        steps(model, optimizer, why, 0, stop)
        kept = io.BytesIO()
        torch.save(why.state(), kept)
    journal = [Entry.from_json(entry.to_json()) for entry in entries]
    with seewhy.watch(model, optimizer, tell=None, record=entries.append, start=journal) as why:
        why.restore(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
        steps(model, optimizer, why, stop, STEPS)
    assert [entry.to_json() for entry in entries] == [entry.to_json() for entry in whole]
    assert why.history().loop == expected.history().loop
    for name, values in expected.history().observed.items():
        assert plain(list(why.history().observed[name])) == plain(list(values))
    assert why.checks == expected.checks


def test_without_the_state_the_counts_begin_at_the_last_entry():
    entries = []
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with seewhy.watch(model, optimizer, tell=None, record=entries.append) as why:
        steps(model, optimizer, why, 0, 12)
    with seewhy.watch(model, optimizer, tell=None, start=entries) as why:
        why.restore({})
        assert why.history().loop.step == 10


def test_gradients_that_are_computed_many_at_once_are_not_looked_at(recwarn):
    """Under vmap a tensor has no values to read: the watch leaves it alone, and lives on."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    entries = []
    with seewhy.watch(model, optimizer, tell=None, record=entries.append) as why:
        for _ in range(3):
            optimizer.zero_grad()
            x = torch.randn(8, 6)
            outputs = model(x)
            rows = torch.eye(outputs.numel()).reshape(-1, *outputs.shape)
            torch.autograd.grad(outputs, list(model.parameters()), rows, is_grads_batched=True, retain_graph=True)
            weights = {name: p.detach() for name, p in model.named_parameters()}
            per_example = torch.func.vmap(
                torch.func.grad(lambda w, row: torch.func.functional_call(model, w, (row[None],)).sum()),
                (None, 0),
                randomness="different",
            )(weights, x)
            assert per_example["0.weight"].shape == (8, 32, 6)
            F.cross_entropy(outputs, torch.randint(3, (8,))).backward()
            optimizer.step()
    assert not why.error
    assert not recwarn.list
    assert [entry.record.step for entry in entries] == [1, 2, 3]
    assert entries[0].record.logits is not None


@pytest.mark.parametrize(
    "look", [str, lambda why: why.history(), lambda why: why.state(), lambda why: why.observe(loss=1.0)]
)
def test_steps_that_are_only_counted_are_known_to_whoever_looks(look):
    model = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    why = seewhy.watch(model, optimizer, tell=None)
    for step in range(1, 214):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(16, 8)), torch.randint(4, (16,))).backward()
        optimizer.step()
        if step in (203, 211):
            look(why)
            loop = why._networks["model"].history.loop
            assert (loop.step, loop.train_steps) == (step, step)
    why.close()
    assert why.history().loop.step == 213
