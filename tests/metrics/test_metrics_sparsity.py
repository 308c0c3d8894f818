"""The share of zero weights, in all and by layer."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics import format_sparsity, weight_sparsity


def test_zeros_are_counted_over_all_networks():
    first = {"a": torch.tensor([0.0, 1.0, -0.0, 1e-30]), "b": torch.ones(2, 3)}
    second = {"a": torch.zeros(4), "b": torch.ones(2, 3)}
    sparsity = weight_sparsity(iter([first, second]))
    assert sparsity == {"sparsity": 6 / 20, "layers": {"a": 6 / 8, "b": 0.0}}
    assert format_sparsity(sparsity) == "30.0% (fewest in b: 0.0%, most in a: 75.0%)"


@pytest.mark.parametrize("networks", [[], [{}], [{"a": torch.zeros(0)}]])
def test_no_weights_are_refused(networks):
    with pytest.raises(InputError, match="networks: must have at least one weight"):
        weight_sparsity(networks)
