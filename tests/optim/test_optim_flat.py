"""`Flat`: parameters as one vector and back, whatever they are made of; and what an import of the room brings with it."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim.flat import Flat, one_group

KINDS = {
    "plain": lambda: torch.randn(3, 4),
    "transposed": lambda: torch.randn(4, 3).t(),
    "every other": lambda: torch.randn(3, 8)[:, ::2],
    "channels last": lambda: torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "scalar": lambda: torch.randn(()),
    "empty": lambda: torch.randn(0, 3),
    "one of a larger storage": lambda: torch.randn(40)[7:19].view(3, 4),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6), st.integers(0, 10**6))
@settings(deadline=None)
def test_a_vector_is_the_parameters_in_their_order(kinds, seed):
    torch.manual_seed(seed)
    tensors = [nn.Parameter(KINDS[kind]()) for kind in kinds]
    if not sum(tensor.numel() for tensor in tensors):
        return
    flat = Flat(tensors)
    expected = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    assert torch.equal(flat.read(flat.empty()), expected)
    strides, addresses = [tensor.stride() for tensor in tensors], [tensor.data_ptr() for tensor in tensors]
    flat.write(expected + 1)
    assert torch.equal(flat.read(flat.empty()), expected + 1)
    assert [tensor.stride() for tensor in tensors] == strides
    assert [tensor.data_ptr() for tensor in tensors] == addresses  # in place: views and sharers change too


def test_writing_leaves_the_rest_of_the_storage_alone():
    storage = torch.zeros(10)
    flat = Flat([nn.Parameter(storage[2:8:2])])
    flat.write(torch.ones(3))
    assert storage.tolist() == [0, 0, 1, 0, 1, 0, 1, 0, 0, 0]


def test_frozen_are_left_out_and_shared_count_once():
    shared, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(5), requires_grad=False)
    flat = Flat([shared, frozen, shared])
    assert flat.n == 2
    assert len(flat.tensors) == 1


def test_gradients_are_gathered_with_zeros_where_there_are_none():
    used, unused, strided = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3, 2).t())
    flat = Flat([used, unused, strided])
    factors = torch.arange(6.0).view(2, 3)
    (2 * used.sum() + (factors * strided).sum()).backward()
    g = flat.gather_grads(torch.full((11,), 9.0))
    assert g.tolist() == [2, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5]
    flat.set_grads(-g)
    assert torch.equal(strided.grad, -factors)
    assert unused.grad is None


@pytest.mark.parametrize(
    ("dtypes", "vector", "narrow"),
    [
        ([torch.float64], torch.float64, False),
        ([torch.float32], torch.float32, False),
        ([torch.bfloat16], torch.float32, True),
        ([torch.bfloat16, torch.float32], torch.float32, True),
        ([torch.float32, torch.float64], torch.float64, True),
    ],
)
def test_the_vector_is_as_wide_as_the_widest(dtypes, vector, narrow):
    flat = Flat([nn.Parameter(torch.ones(2, dtype=dtype)) for dtype in dtypes])
    assert (flat.dtype, flat.narrow) == (vector, narrow)
    flat.write(torch.full((flat.n,), 1 + 2.0**-20, dtype=vector))
    back = flat.read(flat.empty()).view(-1, 2)[:, 0]
    assert [value.item() == 1.0 for value in back] == [dtype == torch.bfloat16 for dtype in dtypes]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "params: must hold at least one parameter that requires a gradient, got none"),
        (lambda: [torch.ones(2)], "requires a gradient, got none"),
        (lambda: [nn.Parameter(torch.ones(0))], "at least one number, got empty tensors only"),
        (lambda: [nn.Parameter(torch.eye(2).to_sparse())], r"must be dense, got a sparse one of shape \(2, 2\)"),
        (lambda: [nn.Parameter(torch.ones(2, dtype=torch.complex64))], "must be real, got torch.complex64"),
        (lambda: [nn.Parameter(torch.ones(2, dtype=torch.float16))], "got torch.float16; convert the model"),
        (lambda: [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, device="meta"))], "must lie on one device"),
    ],
)
def test_what_cannot_be_one_vector_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        Flat(make())


def test_groups_are_one_list_unless_they_have_options():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    assert [id(p) for p in one_group([{"params": [a]}, {"params": b}, a])] == [id(a), id(b)]
    with pytest.raises(InputError, match=r"groups cannot have options of their own, .*, got lr, weight_decay"):
        one_group([{"params": [a], "weight_decay": 1.0, "lr": 2.0}])
    with pytest.raises(InputError, match="must be a list of parameters, got one tensor"):
        one_group(a)


def test_the_room_stands_alone():
    rooms = "models", "training", "data", "reporting", "nn", "api", "cli"
    code = f"import sys, seewhy.optim; print([room for room in {rooms} if 'seewhy.' + room in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
