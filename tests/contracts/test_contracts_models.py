"""What every classifier must do, over names, activations, norms, initialisations and sizes; what every record of models must hold."""

import inspect
import itertools
import pkgutil
from functools import partial

import pytest
import torch

from seewhy import models, optim
from seewhy.models.adversarial import LOSSES
from seewhy.models.latent import ARCHITECTURES, LIKELIHOODS
from seewhy.nn import ACTIVATIONS, INITS, NORMS

SIZES = {8: (1, 8, 8), 28: (1, 28, 28), 32: (3, 32, 32), 64: (3, 64, 48), 128: (3, 128, 128)}


def combinations():
    """Each name with every member of every family, at every size: the families take turns beside each other."""
    activations, norms, inits = (itertools.cycle(family.names()) for family in (ACTIVATIONS, NORMS, INITS))
    rows = []
    for name, size in itertools.product(models.CLASSIFIERS, SIZES):
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
                rows.append((name, size, stem, next(activations), norm, init))
    return rows


def build(name, shape, *, seed=0, **options):
    design, rng = models.ClassifierDesign(**{"width": 8, "depth": 2, **options}), torch.Generator().manual_seed(seed)
    return models.build_classifier(name, in_shape=shape, classes=5, rng=rng, design=design)


def random_images(shape, count=4):
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=random)


def classifier(net, shape):
    return models.Classifier(net, [0.5] * shape[0], [0.25] * shape[0])


@pytest.mark.parametrize(("name", "size", "stem", "activation", "norm", "init"), combinations())
def test_logits_and_gradients_are_finite(name, size, stem, activation, norm, init):
    shape = SIZES[size]
    model = classifier(build(name, shape, stem=stem, activation=activation, norm=norm, init=init), shape)
    images = random_images(shape)
    models.prepare_classifier(model, images, models.ClassifierDesign(activation=activation, norm=norm, init=init))
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
    for column, family in ((3, ACTIVATIONS), (4, NORMS), (5, INITS)):
        for name in models.CLASSIFIERS:
            covered = {row[column] for row in combinations() if row[0] == name}
            assert covered >= set(family.names()) - ({"dirac", "instance"} if name == "mlp" else set())


@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_equal_seeds_give_equal_bits_and_the_global_source_is_untouched(name):
    state = torch.get_rng_state()
    one, same, other = (build(name, (3, 16, 16), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_all_weights_come_from_rng(name):
    """Whatever the constructors took from the global source must have been replaced."""
    torch.manual_seed(5)
    one = build(name, (3, 16, 16)).state_dict()
    torch.manual_seed(6)
    other = build(name, (3, 16, 16)).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_memorises_a_batch(name, optimizer):
    shape = (3, 12, 12)
    model = classifier(build(name, shape), shape)
    images, labels = random_images(shape, 20), torch.arange(20) % 5
    models.prepare_classifier(model, images)
    stepper = optim.build(optimizer, model.named_parameters(), lr=0.05 if optimizer == "muon" else 0.01)
    for _ in range(60):
        stepper.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        stepper.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("field", ["dropout", "input_dropout"])
@pytest.mark.parametrize("name", models.CLASSIFIERS)
def test_state_dict_round_trip_and_dropout(name, field):
    shape = (1, 12, 10)
    model = classifier(build(name, shape, regularisers=models.Regularisers(**{field: 0.5})), shape)
    images = random_images(shape, 16)
    models.prepare_classifier(model, images)
    torch.manual_seed(0)
    first, second = model(images), model(images)
    assert not torch.equal(first, second)  # different masks
    copy = classifier(build(name, shape, seed=9), shape)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(images), copy.eval()(images))
    assert torch.equal(model(images), model(images))


RECORDS = [record for registry in (ARCHITECTURES, LIKELIHOODS, LOSSES) for record in registry]


@pytest.mark.parametrize("technique", RECORDS, ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    parameters = inspect.signature(technique.factory).parameters
    assert set(technique.hyperparameters) <= set(parameters)


GENERATIVE = {
    **{name: partial(models.build_autoregressive, name, in_shape=(1, 6, 5)) for name in models.AUTOREGRESSIVE},
    "autoencoder": partial(models.build_autoencoder, in_shape=(1, 6, 5)),
    "vae": partial(models.build_vae, in_shape=(1, 6, 5)),
    "gan": partial(models.build_gan, in_shape=(1, 6, 5)),
}


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_models_are_seeded_prepare_learn_and_sample(name, classes):
    state = torch.get_rng_state()
    model, same, other = (
        GENERATIVE[name](rng=torch.Generator().manual_seed(seed), classes=classes) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), same.parameters(), strict=True))
    assert any(not torch.equal(*pair) for pair in zip(model.parameters(), other.parameters(), strict=True))
    images, labels = random_images((1, 6, 5)), None if classes is None else torch.arange(4) % classes
    model.prepare(images)
    terms = model(images, labels)
    loss = terms["loss"].mean() if isinstance(terms, dict) else terms.loss
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    samples = model.eval().sample(4, labels, rng=torch.Generator().manual_seed(0))
    assert samples.dtype == torch.uint8
    assert samples.shape == (4, 1, 6, 5)
    assert torch.equal(samples, model.sample(4, labels, rng=torch.Generator().manual_seed(0)))


def test_no_name_shadows_a_module():
    packages = [models, *(getattr(models, name) for name in ("classifiers", "autoregressive", "latent", "adversarial"))]
    for package in packages:
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not modules & set(package.__all__), package.__name__
