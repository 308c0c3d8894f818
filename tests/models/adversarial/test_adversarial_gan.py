"""The game: who is moved in whose turn, what is drawn, what is told."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator
from seewhy.models.adversarial.gan import GAN, PLAYERS
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
        DenseDiscriminator(SHAPE, width=8, spread=None),
        loss=loss,
        **options,
    )


@pytest.mark.parametrize("make", [conv, dense])
@pytest.mark.parametrize("loss", LOSSES.names())
def test_a_turn_moves_one_player_exactly(make, loss):
    gan = make(loss)
    optimizer = torch.optim.Adam(gan.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(2):  # the second round with moments
        for player in ("discriminator", "generator"):
            before = {name: value.detach().clone() for name, value in gan.named_parameters()}
            optimizer.zero_grad()
            terms = gan(IMAGES, player=player)
            terms.loss.backward()
            optimizer.step()
            moved = {name for name, value in gan.named_parameters() if not torch.equal(value, before[name])}
            assert moved
            assert {name.split(".")[0] for name in moved} == {player}
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
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    gan.zero_grad()
    torch.manual_seed(2)
    gan.generator_loss(10).loss.backward()
    ours = [weight.grad.clone() for weight in gan.generator.parameters()]
    assert all(weight.grad is None for weight in gan.discriminator.parameters())
    torch.manual_seed(2)
    loss = -gan.discriminator(gan.generator(torch.randn(10, 6))).mean()
    theirs = torch.autograd.grad(loss, list(gan.generator.parameters()))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_only_holds_the_other_still_and_restores_what_was_frozen_before():
    gan = dense()
    gan.generator.last.bias.requires_grad_(False)
    with gan.only("discriminator"):
        assert not any(weight.requires_grad for weight in gan.generator.parameters())
        assert all(weight.requires_grad for weight in gan.discriminator.parameters())
    with gan.only("generator"):
        assert not any(weight.requires_grad for weight in gan.discriminator.parameters())
    frozen = [name for name, weight in gan.named_parameters() if not weight.requires_grad]
    assert frozen == ["generator.last.bias"]
    with pytest.raises(InputError, match="player: 'judge' is not known"), gan.only("judge"):
        pass


@pytest.mark.parametrize(("loss", "turns", "found"), [("hinge", None, 1), ("wasserstein", None, 5), ("hinge", 2, 2)])
def test_a_loss_says_how_often_the_generator_moves(loss, turns, found):
    assert conv(loss, turns=turns).turns == found


def test_figures_tell_what_the_discriminator_thinks():
    gan = conv("wasserstein")
    terms = gan.discriminator_loss(IMAGES)
    figures = terms.figures()
    assert set(figures) == {"loss", "real", "fake", "penalty"}
    assert figures["loss"] == pytest.approx(figures["fake"] - figures["real"] + 10 * figures["penalty"], rel=1e-5)
    assert not terms.real.requires_grad
    assert not terms.penalty.requires_grad
    terms = gan.generator_loss(10)
    assert terms.figures() == pytest.approx({"loss": -terms.fake.item(), "fake": terms.fake.item()})
    assert conv(penalty=None).discriminator_loss(IMAGES).penalty is None


def test_the_penalty_counts_with_its_weight():
    losses = []
    for weight in (0.0, 3.0):
        torch.manual_seed(0)
        gan = conv("hinge", norm="layer", penalty=weight)
        torch.manual_seed(1)
        losses.append(gan.discriminator_loss(IMAGES))
    assert (losses[1].loss - losses[0].loss).item() == pytest.approx(3 * losses[1].penalty.item(), rel=1e-4)


@pytest.mark.parametrize("make", [conv, dense])
def test_samples_are_a_function_of_the_generators_state(make):
    gan = make().eval()
    state = torch.random.get_rng_state()
    drawn = gan.sample(7, generator=torch.Generator().manual_seed(5))
    assert drawn.dtype == torch.uint8
    assert drawn.shape == (7, *SHAPE)
    assert drawn.is_contiguous()
    assert torch.equal(drawn, gan.sample(7, generator=torch.Generator().manual_seed(5)))
    assert not torch.equal(drawn, gan.sample(7, generator=torch.Generator().manual_seed(6)))
    assert torch.equal(state, torch.random.get_rng_state())
    still = gan.sample(3, generator=torch.Generator().manual_seed(5), temperature=0.0)
    assert torch.equal(still[0], still[1])
    assert gan.sample(0, generator=torch.Generator()).shape == (0, *SHAPE)


def test_many_samples_are_drawn_in_parts(monkeypatch):
    gan = dense().eval()
    whole = gan.sample(20, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr("seewhy.models.adversarial.gan.CHUNK", 7)
    assert torch.equal(whole, gan.sample(20, generator=torch.Generator().manual_seed(1)))


def test_classes_are_told_to_both():
    gan = conv("hinge", classes=4)
    labels = torch.arange(10) % 4
    assert gan.discriminator_loss(IMAGES, labels).loss.isfinite()
    assert gan.generator_loss(10, labels).loss.isfinite()
    drawn = gan.eval().sample(4, torch.arange(4), generator=torch.Generator().manual_seed(0), temperature=0.0)
    assert len({tuple(picture.flatten().tolist()) for picture in drawn}) == 4
    with pytest.raises(InputError, match="labels: must be given"):
        gan.sample(4)


@pytest.mark.parametrize("make", [conv, dense])
def test_pixels_go_there_and_back(make):
    gan, every = make(), torch.arange(256, dtype=torch.uint8)
    scaled = gan.scaled(every)
    assert scaled.min().item() == (0.0 if make is dense else -1.0)
    assert scaled.max().item() == 1.0
    assert torch.equal(gan.pictures(scaled), every)


def test_prepare_starts_the_dense_generator_at_the_mean():
    gan = dense().eval()
    gan.prepare(IMAGES)
    with torch.no_grad():
        gan.generator.last.weight.zero_()
    drawn = gan.sample(1, generator=torch.Generator().manual_seed(0))[0].float()
    assert (drawn - IMAGES.float().mean(0)).abs().max() <= 0.51


def test_limits_of_norms_are_held_in_training():
    gan = GAN(DenseGenerator(SHAPE), DenseDiscriminator(SHAPE, limit=0.1, spread=1.0))
    gan.discriminator_loss(IMAGES).loss.backward()
    assert gan.discriminator.layers[0].weight.norm(dim=1).max() <= 0.1 + 1e-6


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="discriminator: must have the generator's shape and classes"):
        GAN(ConvGenerator(SHAPE), ConvDiscriminator((1, 9, 8)))
    with pytest.raises(InputError, match=r"generator\.penalty: needs each picture's own slope"):
        conv("wasserstein", norm="batch")
    with pytest.raises(InputError, match=r"generator\.penalty: must be at least 0"):
        dense(penalty=-1.0)
    with pytest.raises(InputError, match=r"generator\.turns: must be at least 1"):
        dense(turns=0)
    with pytest.raises(InputError, match="temperature: must be at least 0"):
        dense().sample(1, temperature=-1.0)


def test_a_killed_game_goes_on_bit_for_bit():
    def play(steps, gan, optimizer, start=0):
        for step in range(start, steps):
            torch.manual_seed(step)
            optimizer.zero_grad()
            gan(IMAGES, player=PLAYERS[step % 2]).loss.backward()
            optimizer.step()

    def fresh():
        torch.manual_seed(0)
        gan = conv("hinge")
        return gan, torch.optim.Adam(gan.parameters(), lr=1e-3)

    whole, optimizer = fresh()
    play(7, whole, optimizer)
    half, optimizer = fresh()
    play(4, half, optimizer)
    state, moments = half.state_dict(), optimizer.state_dict()
    torch.manual_seed(99)
    again = conv("hinge")
    again.load_state_dict(state)
    optimizer = torch.optim.Adam(again.parameters(), lr=1e-3)
    optimizer.load_state_dict(moments)
    play(7, again, optimizer, start=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
