"""Latent interpolation and traversal, against geometry."""

import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.latent.traversal import (
    by_kl,
    decode_traversal,
    interpolate_latents,
    normal_quantiles,
    traverse_latents,
)


def test_spherical_keeps_the_norm_and_turns_evenly():
    torch.manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 3, 6, dtype=torch.float64), dim=-1) * 4.0
    path = interpolate_latents(a, b, 9)
    assert path.shape == (9, 3, 6)
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    torch.testing.assert_close(path.norm(dim=-1), torch.full((9, 3), 4.0, dtype=torch.float64))
    angles = torch.acos((path[1:] * path[:-1]).sum(-1) / 16)
    whole = torch.acos((a * b).sum(-1) / 16)
    torch.testing.assert_close(angles, (whole / 8).expand(8, 3))
    assert (interpolate_latents(a, b, 9, path="linear")[4].norm(dim=-1) < 3.9).all()


def test_spherical_changes_the_length_evenly():
    path = interpolate_latents(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), 3)
    torch.testing.assert_close(path[1], torch.tensor([3.0, 3.0]) / math.sqrt(2))


def test_linear_is_the_straight_line():
    a, b = torch.tensor([0.0, 2.0]), torch.tensor([4.0, -2.0])
    torch.testing.assert_close(
        interpolate_latents(a, b, 3, path="linear"), torch.tensor([[0.0, 2.0], [2.0, 0.0], [4.0, -2.0]])
    )


@pytest.mark.parametrize("end", [[2.0, 0.0], [-2.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
def test_directions_without_an_arc_go_straight(end):
    a, b = torch.tensor([2.0, 0.0]), torch.tensor(end)
    torch.testing.assert_close(interpolate_latents(a, b, 5), interpolate_latents(a, b, 5, path="linear"))


def test_dimensions_come_in_order_of_their_kl():
    kl = torch.tensor([[0.0, 3.0, 1.0, 1.0], [0.2, 1.0, 1.0, 9.0]])
    assert by_kl(kl).tolist() == [3, 1, 2, 0]
    assert by_kl(torch.tensor([1.0, 2.0])).tolist() == [1, 0]


def test_quantiles_are_those_of_the_normal_distribution():
    quantiles = normal_quantiles(5, tail=0.1)
    probabilities = 0.5 * (1 + torch.erf(quantiles / math.sqrt(2)))
    torch.testing.assert_close(probabilities, torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))


def test_one_dimension_moves_at_a_time():
    latent, positions = torch.arange(4.0), torch.tensor([-1.0, 0.0, 1.0])
    traversal = traverse_latents(latent, torch.tensor([2, 0]), positions)
    assert traversal.shape == (2, 3, 4)
    assert traversal[0].tolist() == [[0, 1, -1, 3], [0, 1, 0, 3], [0, 1, 1, 3]]
    assert traversal[1, 0].tolist() == [-1, 1, 2, 3]
    own = traverse_latents(
        latent, torch.tensor([1]), positions, mean=torch.full((4,), 5.0), scale=torch.full((4,), 2.0)
    )
    assert own[0, :, 1].tolist() == [3, 5, 7]


def test_a_grid_of_latents_is_decoded_to_a_grid_of_images():
    def decode_images(latents, labels):
        assert labels.tolist() == [7] * 6
        return latents.sum(1).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)

    latents = torch.arange(24.0).view(2, 3, 4)
    images = decode_traversal(latents, decode_images, label=7)
    assert images.shape == (2, 3, 1, 2, 2)
    torch.testing.assert_close(images[:, :, 0, 0, 0], latents.sum(2))


def test_bad_input_is_named():
    a = torch.zeros(2)
    with pytest.raises(InputError, match="steps: must be at least 2"):
        interpolate_latents(a, a, 1)
    with pytest.raises(InputError, match="shape of start"):
        interpolate_latents(a, torch.zeros(3), 4)
    with pytest.raises(InputError, match="did you mean 'spherical'"):
        interpolate_latents(a, a, 4, path="sphericl")
    with pytest.raises(InputError, match="tail: must be more than 0"):
        normal_quantiles(3, tail=0.5)
    with pytest.raises(InputError, match="steps: must be at least 1"):
        normal_quantiles(0)
