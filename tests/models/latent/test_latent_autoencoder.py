"""The autoencoder: its loss, its codes, what random codes are drawn from."""

import pytest
import torch
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.coders import CoderDesign
from seewhy.models.levels import Levels

SHAPE = (1, 4, 4)


def small(**options):
    torch.manual_seed(0)
    settings = {"code": 3, "coder": CoderDesign(width=8)} | options
    return Autoencoder(SHAPE, **settings), torch.randint(0, 256, (8, *SHAPE), dtype=torch.uint8)


def test_loss_is_the_sum_over_pixels():
    model, images = small(levels=Levels(2, "threshold"))
    values = (images >= 128).float()
    maps = model.decode(model.encode(images))
    twin = F.binary_cross_entropy_with_logits(maps, values, reduction="none").sum((1, 2, 3))
    loss = model(images)["loss"]
    torch.testing.assert_close(loss, twin, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.log_likelihood(images, samples=9), -loss)
    loss.mean().backward()
    assert all(part.grad is not None for part in model.parameters())


@pytest.mark.parametrize(("output", "levels"), [("gaussian", 256), ("gaussian_learnt", 16), ("logistic", 256)])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_every_output_and_coder(output, levels, kind):
    model, images = small(output=output, levels=Levels(levels), coder=CoderDesign(kind=kind, width=4))
    model.prepare(images)
    assert model(images)["loss"].shape == (8,)
    assert model.reconstruct(images).dtype == torch.uint8
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images)["loss"].dtype == torch.float32


def test_fitted_codes_are_drawn_with_their_mean_and_covariance():
    model, _ = small()
    mixing = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    codes = torch.randn(5000, 3) @ mixing.T + torch.tensor([1.0, -2.0, 3.0])
    model.fit_codes(codes)
    torch.testing.assert_close(model.mean, codes.mean(0))
    torch.testing.assert_close(model.covariance, torch.cov(codes.T), rtol=1e-4, atol=1e-5)
    drawn = model.draw(20000, generator=torch.Generator().manual_seed(0), prior="fitted")
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(torch.cov(drawn.T), mixing @ mixing.T, rtol=0, atol=0.15)
    cold = model.draw(2000, prior="fitted", temperature=0.5)
    assert cold[:, 0].std().item() == pytest.approx(1.0, abs=0.1)
    plain = model.draw(20000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(plain.T), torch.eye(3), rtol=0, atol=0.05)
    assert plain.mean(0).abs().max() < 0.05


def test_one_dimension_of_code_is_enough():
    model, images = small(code=1)
    model.fit_codes(model.encode(images).detach())
    assert model.sample(3).shape == (3, *SHAPE)


def test_samples_come_from_the_fitted_codes_where_there_are_some():
    model, images = small()

    def drawn(**options):
        return model.sample(6, generator=torch.Generator().manual_seed(1), **options)

    assert torch.equal(drawn(), drawn(prior="standard"))
    with pytest.raises(InputError, match="call fit_codes"):
        drawn(prior="fitted")
    model.fit_codes(torch.randn(50, 3) * 0.1 + 4.0)
    assert torch.equal(drawn(), drawn(prior="fitted"))
    assert not torch.equal(drawn(), drawn(prior="standard"))
    assert torch.equal(drawn(), drawn())
    other, _ = small()
    other.load_state_dict(model.state_dict())
    assert torch.equal(drawn(), other.sample(6, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(
        model.reconstruct(images, generator=torch.Generator().manual_seed(2)),
        model.reconstruct(images, generator=torch.Generator().manual_seed(2)),
    )


def test_class_conditioning():
    model, images = small(coder=CoderDesign(width=8, classes=2))
    labels = torch.arange(8) % 2
    assert model(images, labels)["loss"].shape == (8,)
    both = [model.sample(4, torch.full((4,), label), generator=torch.Generator().manual_seed(0)) for label in (0, 1)]
    assert not torch.equal(*both)
    with pytest.raises(InputError, match="exactly if it is conditioned"):
        model(images)


def test_it_learns_to_reconstruct():
    model, images = small(coder=CoderDesign(width=32), levels=Levels(2, "threshold"))
    model.prepare(images)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        model(images)["loss"].mean().backward()
        optimiser.step()
    binary = torch.where(images >= 128, 255, 0)
    assert (model.reconstruct(images).int() - binary).abs().max() < 100


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m, x: m.fit_codes(torch.zeros(1, 3)), "at least 2 pictures"),
        (lambda m, x: m.fit_codes(torch.zeros(5, 4)), "codes: must be"),
        (lambda m, x: m.draw(2, prior="fited"), "did you mean 'fitted'"),
        (lambda m, x: m.draw(-1), "n: must be at least 0"),
        (lambda m, x: m.draw(1, temperature=float("nan")), "temperature: must be"),
        (lambda m, x: m(x.float()), "as pictures are stored"),
        (lambda m, x: m(x[..., :3]), "model's shape"),
    ],
)
def test_bad_input_is_named(act, message):
    with pytest.raises(InputError, match=message):
        act(*small())
