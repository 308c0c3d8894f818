"""Adversarial training: which network a step moves, what is sampled, class-conditioning."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator
from seewhy.models.adversarial.gan import GAN, NETWORKS
from seewhy.models.adversarial.losses import LOSSES
from seewhy.models.adversarial.networks import Noise

SHAPE = (1, 8, 8)
IMAGES = torch.randint(0, 256, (10, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def conv(loss="non_saturating", norm=None, classes=None, **options):
    norm = norm or {"wasserstein": "layer", "hinge": "spectral"}.get(loss, "batch")
    return GAN(
        ConvGenerator(SHAPE, Noise(6), width=16, classes=classes),
        ConvDiscriminator(SHAPE, width=16, norm=norm, classes=classes),
        loss=loss,
        **options,
    )


def dense(loss="non_saturating", **options):
    return GAN(
        DenseGenerator(SHAPE, Noise(6), widths=(16,)),
        DenseDiscriminator(SHAPE, width=8, init_bound=None),
        loss=loss,
        **options,
    )


@pytest.mark.parametrize("make", [conv, dense])
@pytest.mark.parametrize("loss", LOSSES.names())
def test_a_step_moves_one_network_exactly(make, loss):
    gan = make(loss)
    optimizer = torch.optim.Adam(gan.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(2):  # the second round with moments
        for network in ("discriminator", "generator"):
            before = {name: value.detach().clone() for name, value in gan.named_parameters()}
            optimizer.zero_grad()
            terms = gan(IMAGES, network=network)
            terms.loss.backward()
            optimizer.step()
            moved = {name for name, value in gan.named_parameters() if not torch.equal(value, before[name])}
            assert moved
            assert {name.split(".")[0] for name in moved} == {network}
            assert all(value.requires_grad for value in gan.parameters())


def test_gradients_are_those_of_the_whole_graph():
    gan = conv("hinge", norm="none")
    torch.manual_seed(1)
    gan.discriminator_loss(IMAGES).loss.backward()
    ours = [weight.grad.clone() for weight in gan.discriminator.parameters()]
    assert all(weight.grad is None for weight in gan.generator.parameters())
    torch.manual_seed(1)
    fake = gan.generator(torch.randn(10, 6))
    real = IMAGES.float() / 127.5 - 1
    loss = (1 - gan.discriminator(real)).relu().mean() + (1 + gan.discriminator(fake)).relu().mean()
    theirs = torch.autograd.grad(loss, list(gan.discriminator.parameters()))
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    gan.zero_grad()
    torch.manual_seed(2)
    gan.generator_loss(10).loss.backward()
    ours = [weight.grad.clone() for weight in gan.generator.parameters()]
    assert all(weight.grad is None for weight in gan.discriminator.parameters())
    torch.manual_seed(2)
    loss = -gan.discriminator(gan.generator(torch.randn(10, 6))).mean()
    theirs = torch.autograd.grad(loss, list(gan.generator.parameters()))
    for gradient, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_training_only_freezes_the_other_and_restores_what_was_frozen_before():
    gan = dense()
    gan.generator.last.bias.requires_grad_(False)
    with gan.training_only("discriminator"):
        assert not any(weight.requires_grad for weight in gan.generator.parameters())
        assert all(weight.requires_grad for weight in gan.discriminator.parameters())
    with gan.training_only("generator"):
        assert not any(weight.requires_grad for weight in gan.discriminator.parameters())
    frozen = [name for name, weight in gan.named_parameters() if not weight.requires_grad]
    assert frozen == ["generator.last.bias"]
    with pytest.raises(InputError, match="network: 'judge' is not known"), gan.training_only("judge"):
        pass


@pytest.mark.parametrize(
    ("loss", "critic_steps", "expected"), [("hinge", None, 1), ("wasserstein", None, 5), ("hinge", 2, 2)]
)
def test_a_loss_says_how_many_critic_steps_are_usual(loss, critic_steps, expected):
    assert conv(loss, critic_steps=critic_steps).critic_steps == expected


def test_terms_are_what_the_discriminator_gives():
    gan = conv("wasserstein")
    terms = gan.discriminator_loss(IMAGES)
    expected = terms.fake - terms.real + 10 * terms.gradient_penalty
    assert terms.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not terms.real.requires_grad
    assert not terms.gradient_penalty.requires_grad
    terms = gan.generator_loss(10)
    assert terms.loss.item() == pytest.approx(-terms.fake.item())
    assert terms.real is terms.gradient_penalty is None
    assert conv(gradient_penalty=None).discriminator_loss(IMAGES).gradient_penalty is None


def test_the_penalty_counts_with_its_weight():
    losses = []
    for weight in (0.0, 3.0):
        torch.manual_seed(0)
        gan = conv("hinge", norm="layer", gradient_penalty=weight)
        torch.manual_seed(1)
        losses.append(gan.discriminator_loss(IMAGES))
    assert (losses[1].loss - losses[0].loss).item() == pytest.approx(3 * losses[1].gradient_penalty.item(), rel=1e-4)


@pytest.mark.parametrize("make", [conv, dense])
def test_samples_are_a_function_of_the_state_of_rng(make):
    gan = make().eval()
    state = torch.random.get_rng_state()
    samples = gan.sample(7, rng=torch.Generator().manual_seed(5))
    assert samples.dtype == torch.uint8
    assert samples.shape == (7, *SHAPE)
    assert samples.is_contiguous()
    assert torch.equal(samples, gan.sample(7, rng=torch.Generator().manual_seed(5)))
    assert not torch.equal(samples, gan.sample(7, rng=torch.Generator().manual_seed(6)))
    assert torch.equal(state, torch.random.get_rng_state())
    still = gan.sample(3, rng=torch.Generator().manual_seed(5), temperature=0.0)
    assert torch.equal(still[0], still[1])
    assert gan.sample(0, rng=torch.Generator()).shape == (0, *SHAPE)


def test_many_samples_are_made_in_chunks(monkeypatch):
    gan = dense().eval()
    whole = gan.sample(20, rng=torch.Generator().manual_seed(1))
    monkeypatch.setattr("seewhy.models.adversarial.gan.CHUNK", 7)
    assert torch.equal(whole, gan.sample(20, rng=torch.Generator().manual_seed(1)))


def test_both_networks_are_class_conditional():
    gan = conv("hinge", classes=4)
    labels = torch.arange(10) % 4
    assert gan.discriminator_loss(IMAGES, labels).loss.isfinite()
    assert gan.generator_loss(10, labels).loss.isfinite()
    samples = gan.eval().sample(4, torch.arange(4), rng=torch.Generator().manual_seed(0), temperature=0.0)
    assert len({tuple(image.flatten().tolist()) for image in samples}) == 4
    with pytest.raises(InputError, match="labels: must be given"):
        gan.sample(4)


@pytest.mark.parametrize("make", [conv, dense])
def test_pixels_are_scaled_and_back(make):
    gan, every = make(), torch.arange(256, dtype=torch.uint8)
    scaled = gan.scaled(every)
    assert scaled.min().item() == (0.0 if make is dense else -1.0)
    assert scaled.max().item() == 1.0
    assert torch.equal(gan.to_uint8(scaled), every)


def test_prepare_starts_the_dense_generator_at_the_mean():
    gan = dense().eval()
    gan.prepare(IMAGES)
    with torch.no_grad():
        gan.generator.last.weight.zero_()
    samples = gan.sample(1, rng=torch.Generator().manual_seed(0))[0].float()
    assert (samples - IMAGES.float().mean(0)).abs().max() <= 0.51


def test_limits_of_norms_are_held_in_training():
    gan = GAN(DenseGenerator(SHAPE), DenseDiscriminator(SHAPE, max_norm=0.1, init_bound=1.0))
    gan.discriminator_loss(IMAGES).loss.backward()
    assert gan.discriminator.layers[0].weight.norm(dim=1).max() <= 0.1 + 1e-6


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="discriminator: must have the generator's shape and classes"):
        GAN(ConvGenerator(SHAPE), ConvDiscriminator((1, 9, 8)))
    with pytest.raises(InputError, match=r"gradient_penalty: needs each image's own gradient"):
        conv("wasserstein", norm="batch")
    with pytest.raises(InputError, match=r"gradient_penalty: must be at least 0"):
        dense(gradient_penalty=-1.0)
    with pytest.raises(InputError, match=r"critic_steps: must be at least 1"):
        dense(critic_steps=0)
    with pytest.raises(InputError, match="temperature: must be at least 0"):
        dense().sample(1, temperature=-1.0)


def test_an_interrupted_training_goes_on_bit_for_bit():
    def train(steps, gan, optimizer, start=0):
        for step in range(start, steps):
            torch.manual_seed(step)
            optimizer.zero_grad()
            gan(IMAGES, network=NETWORKS[step % 2]).loss.backward()
            optimizer.step()

    def fresh():
        torch.manual_seed(0)
        gan = conv("hinge")
        return gan, torch.optim.Adam(gan.parameters(), lr=1e-3)

    whole, optimizer = fresh()
    train(7, whole, optimizer)
    half, optimizer = fresh()
    train(4, half, optimizer)
    state, moments = half.state_dict(), optimizer.state_dict()
    torch.manual_seed(99)
    again = conv("hinge")
    again.load_state_dict(state)
    optimizer = torch.optim.Adam(again.parameters(), lr=1e-3)
    optimizer.load_state_dict(moments)
    train(7, again, optimizer, start=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
