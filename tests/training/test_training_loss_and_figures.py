"""Losses, views and averages against their definitions."""

import numpy as np
import torch

from seewhy.training.loop.averaging import MovingAverage
from seewhy.training.tasks import Recognition


def test_smoothed_loss_is_its_formula():
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.randint(0, 5, (7,))
    target = 0.8 * torch.nn.functional.one_hot(labels, 5) + 0.2 / 5
    expected = -(target * torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))).sum(1).mean()
    torch.testing.assert_close(Recognition(label_smoothing=0.2).loss(logits, labels), expected)


def test_views_are_the_mirror_and_the_shifts():
    seen = []

    def model(images):
        seen.append(images)
        return torch.zeros(len(images), 3)

    images = torch.arange(2 * 1 * 4 * 5, dtype=torch.uint8).reshape(2, 1, 4, 5)
    probabilities = Recognition(tta="flip_shift").probabilities(model, images)
    torch.testing.assert_close(probabilities, torch.full((2, 3), 1 / 3))
    plain, mirrored = images.numpy(), images.numpy()[..., ::-1]
    border = ((0, 0), (0, 0), (1, 1), (1, 1))
    lower_right = np.pad(plain, border, mode="reflect")[:, :, 0:4, 0:5]
    upper_left = np.pad(mirrored, border, mode="reflect")[:, :, 2:6, 2:7]
    for view, want in zip(seen, [plain, mirrored, lower_right, upper_left], strict=True):
        np.testing.assert_array_equal(view.numpy(), want)


def test_view_weights():
    def model(images):
        return torch.where(images[:, :1, 0, 0] > 0, 100.0, -100.0) * torch.tensor([1.0, -1.0])

    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255  # only the image itself has its bright corner at the upper left
    assert Recognition(tta="none").probabilities(model, image)[0, 0] == 1
    assert Recognition(tta="flip").probabilities(model, image)[0, 0] == 0.5
    assert Recognition(tta="flip_shift").probabilities(model, image)[0, 0] == 0.25


def test_moving_average_is_its_recurrence():
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.state["weight"], expected)
