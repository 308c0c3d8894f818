"""What a study compares: factors crossed or changed one at a time, named variants, and what is refused."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from comparison_cases import ACCURACY, design_of
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.comparison import create
from seewhy.comparison.asked import Asked
from seewhy.comparison.create import extended_design
from seewhy.comparison.design import Variant, design_variants, parse_variant, parse_vary
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.progress import Progress
from seewhy.comparison.quality import Sampling
from seewhy.comparison.study import Study
from seewhy.core.errors import InputError
from seewhy.spec import Request
from seewhy.spec.tree import leaves

BASE = Request.make("digits", {"epochs": 1})

FACTORS = {
    "activation": ["relu", "elu", "silu", "tanh"],
    "optim.lr": [0.1, 0.2, 0.3],
    "model.width": [8, 16, 32],
    "reg.label_smoothing": [0.0, 0.1],
}

chosen_factors = st.lists(st.sampled_from(sorted(FACTORS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(FACTORS[name]), min_size=2, max_size=3, unique=True) for name in names}
    )
)


@settings(max_examples=40, deadline=None)
@given(chosen_factors)
def test_a_product_has_every_cell_exactly_once(factors):
    variants = design_variants(factors, {}, BASE)
    paths = [next(iter(leaves({name: values[0]}))) for name, values in factors.items()]
    cells = [tuple(each.applied(BASE).get(path) for path in paths) for each in variants]
    assert sorted(cells) == sorted(itertools.product(*factors.values()))
    assert len({each.name for each in variants}) == len({each.slug for each in variants}) == len(variants)
    assert all(list(each.levels) == list(factors) for each in variants)


@settings(max_examples=30, deadline=None)
@given(chosen_factors)
def test_one_at_a_time_changes_one_field_from_the_base(factors):
    base, *others = design_variants(factors, {}, BASE, "one-at-a-time")
    assert (base.name, base.edit, base.changes) == ("base", "", {})
    assert len(others) == sum(map(len, factors.values()))
    assert all(len(each.changes) == 1 and each.applied(BASE) == BASE.with_changes(each.changes) for each in others)


@settings(max_examples=20, deadline=None)
@given(chosen_factors, st.integers(1, 4), st.sampled_from(["none", "lr"]))
def test_pairs_differ_in_the_changes_of_the_variant_and_in_the_tuned_rate_alone(factors, seeds, tune):
    design = design_of(factors, seeds=tuple(range(seeds)), tune=tune)
    study = SimpleNamespace(design=design, job=lambda cell: SimpleNamespace(ended=False, folder=cell))
    study.cells = lambda: StudyFolder.cells(study)
    progress = Progress(study)
    progress.rate = lambda variant: 0.37 if variant.name in design.rates else None
    by_variant = {}
    for cell in StudyFolder.cells(study):
        by_variant.setdefault(cell.variant.name, []).append(cell.seed)
        asked = progress.request(cell)
        changes = {"train.seed": cell.seed, **cell.variant.changes}
        if cell.variant.name in design.rates:
            changes["optim.lr"] = 0.37
        assert asked == design.base.with_changes(changes)
    assert list(by_variant.values()) == [list(range(seeds))] * len(design.variants)


def test_the_base_comes_first_and_a_change_that_is_the_base_is_left_out():
    base = Request.make("digits", {"activation": "relu"})
    assert [each.name for each in design_variants({"activation": ["relu", "elu"]}, {}, base, "one-at-a-time")] == [
        "base",
        "elu",
    ]
    variants = design_variants({"activation": ["relu", "elu"]}, {"wide": "model.width = 64"}, BASE)
    assert [each.name for each in variants] == ["base", "relu", "elu", "wide"]
    with pytest.raises(InputError, match="'base' and 'same' ask for the same"):
        design_variants({}, {"same": "activation = 'relu'", "other": "activation = 'elu'"}, base)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("activation=relu,elu", "activation", ["relu", "elu"]),
        ("optim.lr=0.1, 1e-3", "optim.lr", [0.1, 0.001]),
        ("a=true,false,3", "a", [True, False, 3]),
        ("a=[1,2],[3]", "a", [[1, 2], [3]]),
        ("a=\"x, y\",'z'", "a", ["x, y", "z"]),
        ('a={name="sgd", lr=0.1},adam', "a", [{"name": "sgd", "lr": 0.1}, "adam"]),
        ("a=default,1", "a", ["default", 1]),
        ("a=x=y,z", "a", ["x=y", "z"]),
    ],
)
def test_factors_are_read(text, name, values):
    assert parse_vary(text) == (name, values)


@pytest.mark.parametrize("text", ["activation", "activation=", "=relu", "a=relu,", "a=,relu", ""])
def test_a_factor_without_field_or_value_is_refused(text):
    with pytest.raises(InputError, match="--vary: must be a field and its values"):
        parse_vary(text)


def test_variants_are_read():
    assert parse_variant("wide: model.width = 64, lr = 0.1") == ("wide", "model.width = 64, lr = 0.1")
    assert parse_variant("a:b") == ("a", "b")
    for text in ("wide", ": model.width = 64"):
        with pytest.raises(InputError, match="--variant: must be a name"):
            parse_variant(text)


def test_default_takes_a_field_back():
    base = Request.make("digits", {"activation": "elu"})
    default, tanh = design_variants({"activation": ["default", "tanh"]}, {}, base)
    assert default.applied(base).get("model.activation") is None
    assert default.name == "default"
    assert tanh.applied(base) == Request.make("digits", {"activation": "tanh"})


@pytest.mark.parametrize(
    ("vary", "variants", "message"),
    [
        ({"activatoin": ["relu", "elu"]}, {}, "did you mean .*activation"),
        ({"activation": ["relu", "ellu"]}, {}, "variant 'ellu'.*did you mean 'elu'|ellu"),
        ({}, {"x": "model.widht = 3", "y": "model.width = 9"}, "variant 'x'.*width"),
        ({}, {"x": "model.width 3"}, "variant 'x'.*must be TOML"),
        ({"activation": ["relu", "relu"]}, {}, "two have the name 'relu'"),
        ({}, {"a b": "model.width = 8", "a-b": "model.width = 16"}, "two have the folder name 'a-b'"),
        ({}, {"base": "model.width = 8"}, "two have the name 'base'"),
        ({}, {" ": "model.width = 8"}, "each needs a name"),
        ({}, {"a": "model.width = 8", "b": "model.width = 8"}, "'a' and 'b' ask for the same"),
        ({"train.seed": [1, 2]}, {}, "cannot change train.seed"),
        ({}, {"x": "data.split_seed = 3"}, "cannot change data.split_seed"),
        ({"data.test_fraction": [0.1, 0.2]}, {}, "cannot change data.test_fraction"),
        ({"source": ["digits", "mnist"]}, {}, "cannot change source"),
        ({"activation": "relu"}, {}, "vary: activation.*a list of values"),
        ({"activation": []}, {}, "vary: activation.*a list of values"),
        ({"optim": [{"name": "sgd", "lr": 0.1}, "adam"]}, {}, "must set one field"),
        (
            {"activation": ["relu"], "model.activation": ["elu"]},
            {},
            "activation and model.activation are the same field",
        ),
        ({"activation": ["relu"]}, {}, "nothing to compare"),
        ({}, {}, "nothing to compare"),
        (
            {"model.width": list(range(8, 24)), "optim.lr": [x / 100 for x in range(1, 14)]},
            {},
            "208 variants are more than 200",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(vary, variants, message):
    with pytest.raises(InputError, match=message):
        design_variants(vary, variants, BASE)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(InputError) as caught:
        design_variants({}, {"x": "train.seed = 3", "y": "model.width = -1"}, BASE)
    assert "variant 'x'" in str(caught.value)
    assert "variant 'y'" in str(caught.value)


def test_folder_names_are_short_and_plain():
    assert Variant("relu, lr=0.1 / ü", "").slug == "relu-lr=0.1"
    assert Variant("../..", "").slug == "variant"
    long = [Variant("x" * 300 + end, "").slug for end in "ab"]
    assert long[0] != long[1]
    assert all(len(slug) <= 80 for slug in long)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds: must be at least 1"),
        ({"at_once": 0}, "jobs: must be at least 1"),
        ({"tune": "rates"}, "tune: must be"),
        ({"minutes": 0.0}, "budget: must be minutes above 0"),
        ({"reference": "ellu"}, "reference: 'ellu' is not known.*elu"),
        ({"minutes": 5.0}, "budget: is for the whole study"),
        ({"extractor": "inception"}, "extractor: is for figures of sample quality"),
    ],
)
def test_what_is_asked_is_refused_where_it_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        Asked(BASE, design_variants({"activation": ["relu", "elu"]}, {}, BASE), **options)


def test_ensembles_and_lengths_of_their_own_beside_a_budget_are_refused():
    variants = design_variants({}, {"three": "ensemble.members = 3"}, BASE)
    with pytest.raises(InputError, match=r"ensemble\.members"):
        Asked(BASE, variants)
    free = Request.make("digits", {})
    with pytest.raises(InputError, match="variant 'epochs=2' names its own"):
        Asked(free, design_variants({"train.epochs": [1, 2]}, {}, free)[1:], minutes=3)


def test_a_study_is_read_as_it_was_written(tmp_path):
    edit = 'optim.name = "sgd", optim.lr = 0.1'
    design = design_of({"activation": ["relu", "elu"]}, {"odd: name": edit, "quoted": "model.width = 8"}, tune="lr")
    assert set(design.rates) == {"base", "relu", "elu", "quoted"}
    full = replace(
        design,
        sampling=Sampling(500, "runs/x"),
        selection=None,
        fingerprints={"elu": "other"},
        reference="base",
        halving=True,
        command="seewhy compare 'a b'",
    )
    for number, each in enumerate((design, full)):
        study = StudyFolder.create(tmp_path / str(number), each)
        assert study.design == each
    assert full.fingerprint_of(full.variants[2]) == "other"
    assert full.metric == ACCURACY
    with pytest.raises(InputError, match="exists already"):
        StudyFolder.create(tmp_path / "0", design)


def test_an_extension_keeps_what_there_is_and_its_places(tmp_path, monkeypatch):
    prepared = SimpleNamespace(dataset=SimpleNamespace(fingerprint="images"))
    monkeypatch.setattr(create, "prepare", lambda base, emit: prepared)
    seconds = dict.fromkeys(["relu", "elu", "wide"], 1.0)
    monkeypatch.setattr(
        create, "plan_study", lambda asked, emit: replace(study.design, variants=asked.variants, run_seconds=seconds)
    )
    study = Study.create(tmp_path / "study", design_of({"activation": ["relu", "elu"]}))
    more = extended_design(study, print, seeds=5, variants={"wide": "model.width = 64"})
    assert [each.name for each in more.variants] == ["relu", "elu", "wide"]
    assert more.seeds == (0, 1, 2, 3, 4)
    same = extended_design(study, print, vary={"activation": ["relu", "elu"]})
    assert same == study.design
    for options, message in (
        ({"seeds": 2}, "a study only grows"),
        ({"variants": {"relu": "model.width = 64"}}, "has one of this name"),
        ({"variants": {"RELU": "model.width = 64"}}, "two have the name 'relu'"),
    ):
        with pytest.raises(InputError, match=message):
            extended_design(study, print, **options)
    prepared.dataset.fingerprint = "others"
    with pytest.raises(InputError, match="the images have changed since"):
        extended_design(study, print)


def test_places_are_those_that_are_documented(tmp_path):
    study = StudyFolder.create(tmp_path / "study", design_of({"activation": ["relu", "elu"]}))
    cell = Cell("runs", study.design.variants[1], 2)
    assert study.job(cell).folder == Path(tmp_path, "study", "runs", "elu", "2")
    assert study.lock(cell).name == "2.lock"
    assert study.failure(Cell("tuning", study.design.variants[0], 0, 0.1)).name == "lr-0.1.failed.json"
    with pytest.raises(InputError, match="did you mean 'relu'"):
        study.variant("rellu")
