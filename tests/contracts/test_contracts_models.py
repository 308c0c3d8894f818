"""What every registered network must do, over names, activations, norms, initialisations and sizes."""

import itertools

import pytest
import torch

from seewhy import models, optim
from seewhy.nn import ACTIVATIONS, INITS, NORMS

SIZES = {8: (1, 8, 8), 28: (1, 28, 28), 32: (3, 32, 32), 64: (3, 64, 48), 128: (3, 128, 128)}


def combinations():
    """Each name with every member of every family, at every size: the families take turns beside each other."""
    activations, norms, inits = (itertools.cycle(family.names()) for family in (ACTIVATIONS, NORMS, INITS))
    found = []
    for name, size in itertools.product(models.MODELS.names(), SIZES):
        for stem in models.STEMS[name] or (None,):
            if stem == "whitening" and size > 64:
                continue
            rounds = 3 if size <= 32 else 1
            for _ in range(rounds):
                init = next(inits)
                if name == "mlp" and init == "dirac":
                    init = next(inits)
                norm = next(norms)
                if norm == "instance" and (
                    name == "mlp" or (name, size, stem) == ("resnet", 8, "large")
                ):  # refused: no map
                    norm = next(norms)
                found.append((name, size, stem, next(activations), norm, init))
    return found


def build(name, shape, *, seed=0, **options):
    design, random = models.Design(**{"width": 8, "depth": 2, **options}), torch.Generator().manual_seed(seed)
    return models.build(name, in_shape=shape, classes=5, generator=random, design=design)


def pictures(shape, count=4):
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=random)


def recogniser(net, shape):
    return models.Recogniser(net, [0.5] * shape[0], [0.25] * shape[0])


@pytest.mark.parametrize(("name", "size", "stem", "activation", "norm", "init"), combinations())
def test_logits_and_gradients_are_finite(name, size, stem, activation, norm, init):
    shape = SIZES[size]
    model = recogniser(build(name, shape, stem=stem, activation=activation, norm=norm, init=init), shape)
    images = pictures(shape)
    models.prepare(model, images, models.Design(activation=activation, norm=norm, init=init))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.shape == (4, 5)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
    model.eval()
    assert torch.isfinite(model(images)).all()


def test_combinations_cover_every_member():
    for place, family in ((3, ACTIVATIONS), (4, NORMS), (5, INITS)):
        for name in models.MODELS.names():
            seen = {row[place] for row in combinations() if row[0] == name}
            assert seen >= set(family.names()) - ({"dirac", "instance"} if name == "mlp" else set())


@pytest.mark.parametrize("name", models.MODELS.names())
def test_equal_seeds_give_equal_bits_and_the_global_generator_is_untouched(name):
    state = torch.get_rng_state()
    one, same, other = (build(name, (3, 16, 16), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", models.MODELS.names())
def test_all_weights_come_from_the_generator(name):
    """Whatever the constructors drew from the global generator must have been replaced."""
    torch.manual_seed(5)
    one = build(name, (3, 16, 16)).state_dict()
    torch.manual_seed(6)
    other = build(name, (3, 16, 16)).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("optimiser", ["muon", "adam"])
@pytest.mark.parametrize("name", models.MODELS.names())
def test_learns_a_batch_by_heart(name, optimiser):
    shape = (3, 12, 12)
    model = recogniser(build(name, shape), shape)
    images, labels = pictures(shape, 20), torch.arange(20) % 5
    models.prepare(model, images)
    rule = optim.build(optimiser, model.named_parameters(), lr=0.05 if optimiser == "muon" else 0.01)
    for _ in range(60):
        rule.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        rule.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("field", ["dropout", "input_dropout"])
@pytest.mark.parametrize("name", models.MODELS.names())
def test_state_dict_round_trip_and_dropout(name, field):
    shape = (1, 12, 10)
    model = recogniser(build(name, shape, **{field: 0.5}), shape)
    images = pictures(shape, 16)
    models.prepare(model, images)
    torch.manual_seed(0)
    first, second = model(images), model(images)
    assert not torch.equal(first, second)  # different masks
    copy = recogniser(build(name, shape, seed=9), shape)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(images), copy.eval()(images))
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("technique", list(models.MODELS), ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
