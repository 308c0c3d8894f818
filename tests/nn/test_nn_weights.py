"""Which weights penalties and limits of norms are meant for."""

import pytest
import torch
from torch import nn

from seewhy.nn import incoming_views, penalised_weights


@pytest.fixture
def net():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3), nn.BatchNorm2d(3), nn.ConvTranspose2d(4, 6, 3, groups=2))


def test_matrices_and_filters_or_all_that_is_trainable(net):
    assert set(penalised_weights(net)) == {"0.weight", "3.weight"}
    assert set(penalised_weights(net, everything=True)) == {name for name, _ in net.named_parameters()}
    net[0].requires_grad_(False)
    assert set(penalised_weights(net)) == {"3.weight"}
    assert not any(name.startswith("0.") for name in penalised_weights(net, everything=True))


def test_views_share_the_weights_memory_and_have_outputs_first(net):
    views = incoming_views(net)
    assert [tuple(view.shape) for view in views] == [(3, 2, 3, 3), (3, 2, 3, 3), (3, 2, 3, 3)]
    with torch.no_grad():
        for view in views:
            view.fill_(1.0)
    assert (net[0].weight == 1).all()
    assert (net[3].weight == 1).all()
    net[3].requires_grad_(False)
    assert len(incoming_views(net)) == 1
