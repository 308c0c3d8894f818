"""The Parzen window against a mixture of Gaussians spelt out, and against SciPy's density."""

import json
import math

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from seewhy.core.errors import InputError
from seewhy.training.fidelity import samples
from seewhy.training.fidelity.parzen import WIDTHS, log_densities, parzen


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(samples, "CHUNK", 7)


def draw(n, seed, size=5):
    return torch.rand(n, size, generator=torch.Generator().manual_seed(seed))


def twin(images, drawn, width):
    size = drawn.shape[1]
    parts = [multivariate_normal(centre.numpy(), width**2 * torch.eye(size).numpy()) for centre in drawn.double()]
    return [
        logsumexp([part.logpdf(image.numpy()) for part in parts]) - math.log(len(parts)) for image in images.double()
    ]


@pytest.mark.parametrize("width", [0.05, 0.3, 2.0])
def test_it_is_a_mixture_of_gaussians(width):
    images, drawn = draw(10, 0), draw(15, 1)
    found = log_densities(images, drawn, [width])
    assert found.shape == (1, 10)
    assert found[0].tolist() == pytest.approx(twin(images, drawn, width), rel=1e-4, abs=1e-3)


def test_widths_share_the_distances():
    images, drawn = draw(10, 0), draw(15, 1)
    together = log_densities(images, drawn, [0.1, 0.4])
    torch.testing.assert_close(together[1], log_densities(images, drawn, [0.4])[0])


def test_it_integrates_to_one():
    drawn, step = torch.tensor([[0.2], [0.7], [0.75]]), 1e-3
    line = torch.arange(-2.0, 3.0, step)[:, None]
    assert (log_densities(line, drawn, [0.15]).exp().sum() * step).item() == pytest.approx(1.0, abs=1e-4)


def test_the_width_is_the_best_on_validation_pictures():
    drawn, validation, test = draw(40, 0), draw(12, 1), draw(15, 2)
    found = parzen(drawn, validation, test)
    values = [sum(twin(validation, drawn, width)) / 12 for width in WIDTHS[:6]]
    assert found.width == WIDTHS[values.index(max(values))]
    assert not found.at_edge
    each = torch.tensor(twin(test, drawn, found.width))
    assert found.nats == pytest.approx(each.mean().item(), rel=1e-4)
    assert found.standard_error == pytest.approx(each.std().item() / math.sqrt(15), rel=1e-3)
    assert parzen(drawn, validation, test, widths=[5.0, 9.0]).at_edge


def test_the_authors_grid():
    assert len(WIDTHS) == 10
    assert pytest.approx((0.1, 1.0)) == (WIDTHS[0], WIDTHS[-1])
    assert WIDTHS[1] / WIDTHS[0] == pytest.approx(WIDTHS[9] / WIDTHS[8])


def test_bytes_count_from_0_to_1_and_large_pictures_keep_their_digits():
    images = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn = torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    a, b = (values.flatten(1).double() / 255 for values in (images, drawn))
    squares = torch.tensor([[(x - y).square().sum() for y in b] for x in a], dtype=torch.float64)
    wanted = torch.logsumexp(-squares / (2 * 0.2**2), 1) - math.log(9) - 392 * math.log(2 * math.pi * 0.2**2)
    torch.testing.assert_close(log_densities(images, drawn, [0.2])[0], wanted, rtol=0, atol=0.01)


def test_the_result_says_what_it_is_of():
    said = json.loads(json.dumps(parzen(draw(20, 0), draw(6, 1), draw(7, 2)).to_json()))
    assert (said["n_drawn"], said["n_validation"], said["n_test"], said["dimensions"]) == (20, 6, 7, 5)
    assert said["extractor"] == "pixels from 0 to 1"


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="widths: must be at least one, each above 0"):
        parzen(draw(5, 0), draw(5, 1), draw(5, 2), widths=[0.0])
    with pytest.raises(InputError, match="as many features as test"):
        parzen(draw(5, 0), draw(5, 1), draw(5, 2, size=4))
