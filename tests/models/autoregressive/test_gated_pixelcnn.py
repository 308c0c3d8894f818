"""What is the gated network's own: its gate, and the stacks before the last one."""

import torch
from raster_cases import in_order, random_values, randomised

from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedLayer, GatedPixelCNN, gate


def test_the_gate_is_a_tanh_times_a_sigmoid():
    x = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(gate(x), torch.tanh(x[:, :3] / 2) * torch.sigmoid(x[:, 3:]))


def test_a_stack_sees_what_is_smaller_along_its_axis_and_agrees_before_it():
    """Two layers of a clip: stack 0 knows earlier frames, stack 1 earlier rows of this one too, wherever their columns."""
    torch.manual_seed(0)
    layers = [GatedLayer(6, 5, 3, 1, None, first=index == 0, last=False).double() for index in range(2)]
    x = torch.randn(1, 1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    stacks = [x] * 3
    for layer in layers:
        stacks, _ = layer(stacks, None)
    p = (1, 1, 1)
    for axis, stack in enumerate(stacks):
        (gradient,) = torch.autograd.grad(stack[(0, slice(None), *p)].abs().sum(), x, retain_graph=True)
        for _, *q in in_order((1, 3, 3, 3)):
            visible = any(q[:k] == list(p[:k]) and q[k] < p[k] for k in range(axis + 1))
            assert bool(gradient[(0, 0, *q)] != 0) == visible, (axis, q)


def test_classes_shift_every_stack():
    net = randomised(GatedPixelCNN((1, 3, 3), 2, classes=2, width=6, depth=2))
    values, labels = random_values(net.shape, 2, n=2), torch.tensor([0, 1])
    for layer in net.layers:
        for stack in range(2):
            before = net(values, labels)
            with torch.no_grad():
                layer.labels[0, stack] += 1.0
            after = net(values, labels)
            assert not torch.equal(before[0], after[0])
            assert torch.equal(before[1], after[1])


def test_every_parameter_learns():
    net = GatedPixelCNN((2, 4, 4), 3, classes=2, width=6, depth=3)
    net(random_values(net.shape, 3), torch.tensor([0, 1])).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
