"""The plane of a trajectory against a singular value decomposition, and its surface against the loss itself."""

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.optim.landscape import plane, surface


def trajectory(steps=12, n=40):
    random = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(n, 3, generator=random, dtype=torch.float64))[0]
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    return list((torch.cat([4 * t, t * (1 - t), 0.02 * (9 * t).sin()], dim=1) @ basis.T) + 1.0)


def test_the_axes_are_the_first_principal_components():
    weights = trajectory()
    result = plane(weights)
    differences = np.stack([(w - weights[-1]).numpy() for w in weights])
    _, values, rows = np.linalg.svd(differences, full_matrices=False)
    np.testing.assert_allclose(np.abs(result.axes.numpy() @ rows[:2].T), np.eye(2), atol=1e-8)
    np.testing.assert_allclose(result.explained, values[:2] ** 2 / (values**2).sum(), rtol=1e-8)
    assert result.explained[0] > result.explained[1]
    np.testing.assert_allclose(result.path[-1], 0.0, atol=1e-12)
    for w, (x, y) in zip(weights, result.path, strict=True):
        assert float((result.weights(x, y) - w).norm()) < 0.05


def test_the_surface_is_the_loss_on_the_plane():
    weights = trajectory()
    flat = plane(weights)
    centre = weights[-1]
    result = surface(lambda w: ((w - centre) ** 2).sum(), flat, resolution=9)
    grid_x, grid_y = np.meshgrid(result.x, result.y)
    np.testing.assert_allclose(result.values, grid_x**2 + grid_y**2, atol=1e-9)  # the axes are orthonormal
    assert result.values.shape == (9, 9)
    for k, positions in enumerate((result.x, result.y)):
        extent = np.ptp(flat.path[:, k])
        assert positions[0] == pytest.approx(flat.path[:, k].min() - 0.25 * extent)
        assert positions[-1] == pytest.approx(flat.path[:, k].max() + 0.25 * extent)


def test_no_plane_is_refused():
    with pytest.raises(InputError, match="weights: must be at least three vectors of one length"):
        plane(trajectory()[:2])
    with pytest.raises(InputError, match="weights: must be points that span a plane, got 'points on one line'"):
        plane([torch.ones(5) * k for k in range(4)])
    with pytest.raises(InputError, match="resolution: must be at least 2"):
        surface(lambda w: w.sum(), plane(trajectory()), resolution=1)
