"""Rates chosen by as many short runs for every variant, and hopeless variants dropped; a stand-in trains."""

import json
from dataclasses import replace

import pytest
from comparison_cases import design_of

from seewhy.comparison import tuning
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.planning import runs_at_most
from seewhy.comparison.progress import Progress
from seewhy.comparison.results import read_outcome
from seewhy.comparison.tuning import SEED_OFFSET, at_edge, best_rate, grid, short
from seewhy.spec import Request

VARY = {"activation": ["relu", "elu"]}


def test_the_grid_is_that_of_every_variant_about_its_own_centre():
    assert grid(0.09) == (0.01, 0.03, 0.09, 0.27, 0.81)
    assert [short(epochs) for epochs in (0.2, 1.0, 2.0, 3.0, 9.0, 30.0)] == [0.2, 1.0, 1.0, 1.0, 3.0, 10.0]


def test_the_best_rate_and_ties():
    assert best_rate({0.1: 0.5, 0.3: 0.7, 0.9: None}, 0.1, higher=True) == 0.3
    assert best_rate({0.1: 0.5, 0.3: 0.7, 0.9: None}, 0.1, higher=False) == 0.1
    assert best_rate({0.1: 0.7, 0.3: 0.7, 0.9: 0.7}, 0.3, higher=True) == 0.3
    assert best_rate({0.01: 0.7, 0.3: 0.7}, 0.1, higher=True) == 0.3  # 3 times is nearer than a tenth
    assert best_rate({0.1: None, 0.3: None}, 0.1, higher=True) is None
    assert at_edge(0.9, {0.1: None, 0.9: 0.1})
    assert not at_edge(0.3, {0.1: None, 0.3: 0.2, 0.9: 0.1})


def name(rate):
    return f"lr-{rate:.3g}"


def test_every_variant_is_tuned_by_validation_alone_before_it_is_judged(stage):
    study = stage.study(design_of(VARY, tune="lr"))
    low, *_, high = grid(0.1)
    stage.play(f"tuning/relu/{name(low)}", "0.9")
    for rate in grid(0.1):
        stage.play(f"tuning/elu/{name(rate)}", "diverge")
    stage.play(f"tuning/elu/{name(0.3)}", "0.6")
    progress = stage.work(study, at_once=1)
    relu, elu = study.design.variants
    assert (progress.rate(relu), progress.rate(elu)) == (low, 0.3)
    keys = [key for key, _ in stage.starts]
    for variant in ("relu", "elu"):
        tuned = [number for number, key in enumerate(keys) if key.startswith(f"tuning/{variant}/")]
        judged = [number for number, key in enumerate(keys) if key.startswith(f"runs/{variant}/")]
        assert max(tuned) < min(judged)
        assert len({keys[number] for number in tuned}) == 5
    requests = [progress.request(cell) for each in (relu, elu) for cell in progress.tuning_cells(each)]
    assert {request.get("train.seed") for request in requests} == {SEED_OFFSET}
    assert {request.get("train.epochs") for request in requests} == {1.0}
    for variant, rate in ((relu, low), (elu, 0.3)):
        written = Request.from_toml(study.job(Cell("runs", variant, 1)).request)
        assert (written.get("optim.lr"), written.get("train.seed")) == (rate, 1)
    # What the test images say chooses nothing.
    path = study.job(Cell("tuning", relu, SEED_OFFSET, high)).folder / "results.json"
    path.write_text(json.dumps({"val": {"accuracy": 0.5}, "test": {"accuracy": 1.0}}))
    assert Progress(study).rate(relu) == low
    figures = {each.variant.name: each for each in read_outcome(study).figures}
    assert (figures["relu"].edge, figures["elu"].edge) == (True, False)


def test_a_variant_whose_tuning_all_diverges_keeps_its_own_rate_and_is_judged(stage):
    study = stage.study(design_of(VARY, tune="lr", seeds=(0,)))
    for rate in grid(0.1):
        stage.play(f"tuning/elu/{name(rate)}", "diverge")
    progress = stage.work(study)
    assert progress.rate(study.design.variants[1]) is None
    written = Request.from_toml(study.job(Cell("runs", study.design.variants[1], 0)).request)
    assert written.get("optim.lr") is None


def test_who_has_no_rate_to_tune_is_not_tuned(stage):
    study = stage.study(design_of({}, {"own": "optim.lr = 0.3", "wide": "model.width = 8"}, tune="lr", seeds=(0,)))
    stage.work(study)
    assert {key.split("/")[1] for key, _ in stage.starts if key.startswith("tuning")} == {"base", "wide"}


def halved(stage, accuracies, reference=None, seeds=(0, 1, 2, 3, 4)):
    """Work on a study of variants whose screening runs reach given accuracies, or do what a word says."""
    edits = {one: f"model.width = {8 + number}" for number, one in enumerate(accuracies)}
    design = design_of({}, edits, halving=True, seeds=seeds)
    design = replace(design, variants=design.variants[1:], reference=reference)
    study = stage.study(design)
    for one, accuracy in accuracies.items():
        for seed in range(SEED_OFFSET + 1, SEED_OFFSET + 9):
            stage.play(f"screening/{one}/{seed}", accuracy)
    return study, stage.work(study)


def test_the_better_half_goes_on_until_two_are_left(stage):
    study, progress = halved(stage, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": "diverge"})
    alive, waiting = progress.screening()
    assert ([each.name for each in alive], waiting) == (["c", "d"], [])
    assert [sorted({cell.variant.name for cell in cells}) for cells in progress.rounds()] == [
        list("abcde"),
        list("bcd"),
    ]
    seeds = [{cell.seed for cell in cells} for cells in progress.rounds()]
    assert not seeds[0] & seeds[1]
    assert all(not one & set(study.design.seeds) for one in seeds)
    judged = {key for key, _ in stage.starts if key.startswith("runs/")}
    assert judged == {f"runs/{one}/{seed}" for one in "cd" for seed in range(5)}
    outcome = read_outcome(study)
    assert {each.variant.name: each.dropped for each in outcome.figures} == {
        "a": True,
        "b": True,
        "c": False,
        "d": False,
        "e": True,
    }
    words = {(each.a, each.b): (each.word, each.p_value) for each in outcome.verdict.pairs}
    assert words["c", "d"] == ("not distinguishable", 1.0)
    assert {words[pair] for pair in words if pair != ("c", "d")} == {("stopped early", None)}
    interval = {(each.a, each.b): each.interval for each in outcome.verdict.pairs}
    assert interval["a", "b"] is not None
    runs = {each.name: (each.runs, each.failed, each.n) for each in outcome.verdict.variants}
    assert (runs["a"], runs["e"], runs["b"]) == ((2, 0, 2), (2, 2, 0), (4, 0, 4))
    assert runs["c"][2] == 5  # judged on fresh seeds alone
    assert len(stage.starts) - 2 <= runs_at_most(5, 5, True, False)  # the two that diverged were tried twice


def test_the_reference_survives_however_bad(stage):
    _, progress = halved(stage, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, reference="a", seeds=(0,))
    assert [each.name for each in progress.screening()[0]] == ["a", "c", "d"]
    assert len(stage.starts) == runs_at_most(4, 1, True, True)


def test_two_variants_are_never_halved(stage):
    _, progress = halved(stage, {"a": "diverge", "b": 0.2}, seeds=(0,))
    assert progress.rounds() == []
    assert {key for key, _ in stage.starts} == {"runs/a/0", "runs/b/0"}


@pytest.mark.parametrize(("variants", "seeds", "most"), [(2, 5, 10), (3, 5, 16), (4, 5, 18), (8, 5, 16 + 8 + 10)])
def test_the_runs_of_halving_are_counted(variants, seeds, most):
    assert runs_at_most(variants, seeds, True, False) == most
    assert runs_at_most(variants, seeds, False, True) == variants * seeds


def test_tuning_comes_before_screening_and_screening_has_the_tuned_rate(stage):
    edits = {one: f"model.width = {8 + number}" for number, one in enumerate("abc")}
    study = stage.study(design_of({}, edits, halving=True, tune="lr", seeds=(0,)))
    stage.play(f"tuning/a/{name(0.3)}", "0.9")
    stage.work(StudyFolder(study.folder), at_once=1)
    kinds = [key.split("/")[0] for key, _ in stage.starts]
    assert kinds == sorted(kinds, key=["tuning", "screening", "runs"].index)
    (a,) = (each for each in study.design.variants if each.name == "a")
    assert Request.from_toml(study.job(Cell("screening", a, SEED_OFFSET + 1)).request).get("optim.lr") == 0.3
    assert tuning.SEED_OFFSET > 1000
