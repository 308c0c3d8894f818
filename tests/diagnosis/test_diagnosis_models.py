"""Other people's models: layers in lists, a precision that changes midway, a model of timm."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seewhy.diagnosis import watch


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("container", [list, nn.ModuleList])
def test_recurrent_layers_in_a_list_are_known_not_to_be_registered(kind, container):
    class Stacked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = container([kind(6, 6, batch_first=True), kind(6, 6, batch_first=True)])
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            for layer in self.layers:
                x, _ = layer(x)
            return self.head(x[:, -1])

    torch.manual_seed(0)
    model = Stacked()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, tell=None) as why:
        for _ in range(8):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(32, 5, 6)), torch.randint(3, (32,))).backward()
            optimizer.step()
    found = [finding.code for finding in why.findings]
    assert ("parameters_not_registered" in found) == (container is list), str(why)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_that_changes_its_precision_midway_is_watched_on(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    used = torch.float32
    with watch(model, optimizer, tell=None) as why:
        for step in range(60):
            if step == 25:
                model.to(dtype)
                used = dtype
            optimizer.zero_grad()
            x = torch.randn(64, 6)
            F.cross_entropy(model(x.to(used)), (x[:, :3]).argmax(1)).backward()
            optimizer.step()
    assert why.error == ""
    assert why.findings == [], str(why)
    assert [record.step for record in why.history().records][-2:] == [40, 56]
    assert not why.history().latest[-1].bad


def test_a_model_of_timm_is_trained_without_a_word():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=3)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    colours = torch.randn(3, 3, 1, 1)
    with watch(model, optimizer, tell=None) as why:
        for _ in range(30):
            y = torch.randint(3, (12,))
            optimizer.zero_grad()
            F.cross_entropy(model(colours[y] + 0.5 * torch.randn(12, 3, 32, 32)), y).backward()
            optimizer.step()
    assert why.error == ""
    assert why.findings == [], str(why)
