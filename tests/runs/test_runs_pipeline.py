"""Decoding beside computing: order, laziness, errors at their place, and nothing left running; replicas that keep apart."""

import threading
import time

import pytest
import torch
from torch import nn

from seewhy.runs import inference
from seewhy.runs.inference import Replicas, in_chunks
from seewhy.runs.pipeline import pipelined
from seewhy.training.fabric import Engine


def add(batch, decoded):
    return [(item, ten) for item, ten in zip(batch, decoded, strict=True)]


def tens(batch):
    return [10 * item for item in batch]


def test_batches_come_in_order_and_are_taken_one_ahead():
    taken = []

    def items():
        for item in range(10):
            taken.append(item)
            yield item

    results = pipelined(items(), 3, tens, add)
    assert taken == []
    for last in (6, 9, 10, 10):
        batch = next(results)
        assert [ten for _, ten in batch] == [10 * item for item, _ in batch]
        assert len(taken) == last
    assert next(results, None) is None
    assert list(pipelined([], 3, tens, add)) == []


def test_decoding_goes_on_while_a_batch_is_computed_and_rests_while_the_caller_has_it():
    second, running = threading.Event(), []

    def decode(batch):
        running.append(batch)
        if batch == [1]:
            second.set()
            time.sleep(0.1)  # longer than the batch before it still takes
        running.pop()
        return batch

    def compute(batch, _):
        if batch == [0]:
            assert second.wait(20)  # which the batch after this one sets
        return batch

    for _ in pipelined(range(3), 1, decode, compute):
        assert not running
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("seewhy-decode")]


@pytest.mark.parametrize("at", ["items", "decode", "compute"])
def test_an_error_comes_after_the_results_before_it(at):
    def items():
        yield from range(5)
        if at == "items":
            raise ValueError("at items")

    def decode(batch):
        if at == "decode" and 4 in batch:
            raise ValueError("at decode")
        return batch

    def compute(batch, _):
        if at == "compute" and 4 in batch:
            raise ValueError("at compute")
        return batch

    found = []
    with pytest.raises(ValueError, match=f"at {at}"):
        found.extend(pipelined(items(), 2, decode, compute))
    assert found == ([[0, 1], [2, 3], [4]] if at == "items" else [[0, 1], [2, 3]])


def test_ctrl_c_and_an_early_end_leave_no_thread():
    def compute(batch, _):
        if batch == [2]:
            raise KeyboardInterrupt
        return batch

    with pytest.raises(KeyboardInterrupt):
        list(pipelined(range(9), 1, tens, compute))
    results = pipelined(range(9), 1, tens, add)
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("seewhy-decode")]


class Remembering(nn.Module):
    """A network that keeps what it computes where every call of it would."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.meet = threading.Barrier(2, timeout=20)

    def __deepcopy__(self, memo):
        other = Remembering()
        other.weight, other.meet = memo[id(self.weight)], self.meet
        return other

    def forward(self, images):
        self.seen = images.float().mean((1, 2, 3))
        self.meet.wait()
        return self.seen * self.weight


def test_threads_have_replicas_with_the_same_parameters_and_the_caller_keeps_its_state(monkeypatch):
    monkeypatch.setattr(inference, "CHUNK", 2)
    images = torch.arange(8, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    engine, replicas = Engine(device="cpu", precision="fp32", threads=2, alone=True), Replicas(Remembering())
    try:
        found = in_chunks(engine, replicas, Remembering.__call__, images)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert found.tolist() == [2.0 * value for value in range(8)]
    assert not found.requires_grad
    first, second = replicas[2]
    assert first is not second
    assert first.weight is second.weight
    assert torch.is_grad_enabled()
