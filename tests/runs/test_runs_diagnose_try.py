"""Trying a remedy: what is run, that nothing is run twice, and the words that it earns."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
from diagnose_cases import CHECKS, GRADIENTS, RATE, with_findings

import seewhy
from seewhy import api
from seewhy.core.errors import InputError, RunError
from seewhy.core.findings import Remedy
from seewhy.runs import launch as launching
from seewhy.runs import server
from seewhy.runs.diagnose.control import random_edit, settled
from seewhy.runs.diagnose.verdict import compare, format_comparison
from seewhy.spec import Metric, Request, parse_edit

SHARE, NATS = Metric("accuracy", higher=True), Metric("nats", higher=False, unit="nats per image")

PROGRAM = """#!{python}
# -P -m seewhy train --spec REQUEST --out FOLDER, or ... --resume FOLDER
import json, pathlib, shutil, sys
arguments = sys.argv[5:]
resumed = arguments[0] == "--resume"
folder = pathlib.Path(arguments[1] if resumed else arguments[3])
request = folder.with_suffix(".toml").read_text()
if not resumed:
    folder.mkdir()
    for name in ("spec.toml", "request.toml", "data.json"):
        shutil.copy(pathlib.Path("{run}") / name, folder)
with open(folder.parent.parent / "calls.txt", "a") as calls:
    print(folder.parent.name, folder.name, *[word for word in arguments if word.startswith("--")], file=calls)
plan = json.loads(pathlib.Path("{plan}").read_text())
value, lasts = plan[folder.parent.name]
assert '[train]' in request and f"seed = {{folder.name}}" in request
(folder / "findings.json").write_text(json.dumps({{"findings": {finding} if lasts else [], "checks": {checks}}}))
if value is None:
    print("seewhy train: the loss is not finite", file=sys.stderr)
    sys.exit(1)
accuracy = value + 0.001 * int(folder.name)
(folder / "results.json").write_text(json.dumps({{"val": {{"accuracy": accuracy}}}}))
"""


@pytest.fixture
def ill(plain_run, tmp_path):
    return api.Run(with_findings(plain_run, tmp_path / "ill", [RATE, GRADIENTS]))


@pytest.fixture
def program(ill, tmp_path, monkeypatch):
    """Let a script stand in for `python -m seewhy`; returns a function that says what each variant reaches."""
    path, plan = tmp_path / "program.py", tmp_path / "plan.json"
    value = {**GRADIENTS.to_json(), "evidence": {}}
    words = {"python": sys.executable, "run": ill.folder, "plan": plan, "finding": [value], "checks": CHECKS}
    path.write_text(PROGRAM.format(**{name: str(each) for name, each in words.items()}).replace("null", "None"))
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(launching, "POLL", 0.02)
    monkeypatch.setattr(server, "FORKS", False)
    return lambda **reached: plan.write_text(json.dumps({name.replace("_", "-"): v for name, v in reached.items()}))


def calls(trial):
    return [line.split() for line in (trial.folder / "calls.txt").read_text().splitlines()]


def test_the_plan_takes_the_likeliest_finding_with_an_edit_that_fits(ill):
    trial = api.plan_trial(ill, jobs=2)
    assert trial.finding.code == "vanishing_gradients"  # the likelier one has no edit
    assert [variant.name for variant in trial.variants] == ["original", "remedy-2", "random"]
    assert trial.seeds == (1, 2, 3)  # the run's own, 0, is left out
    remedied = trial.request(trial.variants[1], 2)
    assert remedied.get("model.norm.name") == "batch"
    assert (remedied.get("train.seed"), remedied.get("train.epochs")) == (2, 1.0)
    assert trial.request(trial.variants[0], 2).get("model.norm.name") == "none"
    text = "\n".join(f"{name}: {line}" for name, line in trial.lines())
    assert "9 runs: 3 variants x seeds 1 to 3, 2 at a time; about " in text
    assert str(ill.folder.parent / "ill-try-vanishing_gradients") in text
    assert not trial.folder.exists()


def test_a_remedy_is_chosen_by_number_or_all_are_tried(ill):
    assert api.plan_trial(ill, remedy=3).variants[1].edits[1] == 'model.activation = "relu"'
    names = [variant.name for variant in api.plan_trial(ill, remedy="all").variants]
    assert names == ["original", "remedy-2", "remedy-3", "random"]
    assert api.plan_trial(ill, remedy=3).variants[-1] == api.plan_trial(ill).variants[-1]  # one study, one control


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"remedy": 1}, "has no remedy 1 with an edit that fits: remedies without an edit"),
        ({"remedy": 9}, "has no remedy 9 with an edit that fits"),
        ({"finding": "dead_units"}, "finding: 'dead_units' was not found in .*; found: learning_rate_too_high, van"),
        ({"finding": "learning_rate_too_high"}, "learning_rate_too_high in .* has no remedy with an edit that fits"),
        ({"seeds": 0}, "seeds: must be at least 1, got 0"),
        ({"jobs": 0}, "jobs: must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_tried_is_refused(options, message, ill):
    with pytest.raises(InputError, match=message):
        api.plan_trial(ill, **options)


def test_an_edit_that_does_not_fit_is_left_out_with_the_reason(plain_run, tmp_path):
    remedies = (
        Remedy("has it already", edit='model.norm = "none"'),
        Remedy("is of another model", edit="model.beta = 1.0"),
        Remedy("fits", edit='model.init = "xavier"'),
    )
    finding = dataclasses.replace(GRADIENTS, remedies=remedies)
    trial = api.plan_trial(api.Run(with_findings(plain_run, tmp_path / "run", [finding])))
    assert trial.variants[1].name == "remedy-3"
    assert "changes nothing" in trial.left_out[0]
    assert "model.beta" in trial.left_out[1]
    nothing = dataclasses.replace(GRADIENTS, remedies=remedies[:2])
    with pytest.raises(InputError, match=r"fits: .*changes nothing.*; model.beta"):
        api.plan_trial(api.Run(with_findings(plain_run, tmp_path / "other", [nothing])))


def test_a_run_without_a_metric_of_validation_is_refused(plain_run, tmp_path):
    options = {"model": "gan", "width": 4, "epochs": 0.1, "precision": "fp32", "train.threads": 1}
    run = seewhy.train("digits", out=tmp_path / "gan", **options)
    copy = with_findings(run, tmp_path / "copy", [GRADIENTS])
    with pytest.raises(InputError, match="gan has no metric of validation"):
        api.plan_trial(api.Run(copy))


def test_the_random_change_is_of_another_section_and_of_equal_cost(plain_run):
    base = settled(plain_run)
    drawn = {random_edit(plain_run, base, ['model.norm = "batch"', "reg.dropout = 0.3"], seed) for seed in range(24)}
    assert len(drawn) > 5
    fields = {path for edit in drawn for path in parse_edit(edit)}
    assert not any(path.startswith("model.") or path == "reg.dropout" for path in fields)
    assert {path.split(".")[0] for path in fields} >= {"optim", "reg"}
    assert "train.epochs" not in fields
    again = {random_edit(plain_run, base, ['model.norm = "batch"', "reg.dropout = 0.3"], seed) for seed in range(5)}
    assert again <= drawn
    for edit in {random_edit(plain_run, base, ["optim.lr = 0.1"], seed) for seed in range(24)}:
        assert "maxout" not in edit  # it would be twice as large
        assert not edit.startswith("optim.")
        assert edit != 'model.activation = "sigmoid"'  # as it is


def test_all_are_run_once_and_compared(ill, program):
    program(original=[0.5, True], remedy_2=[0.8, False], random=[0.5, True])
    heard = []
    trial = api.plan_trial(ill, jobs=2)
    outcome = api.try_remedy(trial, told=lambda job, how: heard.append((job.folder.parent.name, how)))
    made = sorted(call[:2] for call in calls(trial))
    assert made == sorted([name, str(seed)] for name in ("original", "remedy-2", "random") for seed in (1, 2, 3))
    assert all(call[2:] == ["--spec", "--out"] for call in calls(trial))
    assert len(heard) == 9
    text = str(outcome)
    assert "original  50.20% (sd 0.10%), the finding lasts in 3 of 3" in text
    assert "remedy-2  80.20% (sd 0.10%), the finding lasts in 0 of 3" in text
    assert "helped by 30.00 points [30.00, 30.00] at 3 seeds" in text
    assert "not distinguishable: 0.00 points [0.00, 0.00] at 3 seeds" in text
    value = json.loads((trial.folder / "try.json").read_text())
    assert value["variants"][1]["comparison"]["verdict"] == "helped"
    assert value["variants"][1]["finding_lasts"] == [False] * 3
    assert Request.from_toml(trial.folder / "remedy-2" / "1.toml").get("model.norm.name") == "batch"
    api.try_remedy(api.plan_trial(ill, jobs=1))
    assert len(calls(trial)) == 9  # nothing is run again
    more = api.plan_trial(ill, seeds=4)
    assert "of which 9 have ended" in dict(more.lines())["cost"]
    api.try_remedy(more)
    assert len(calls(trial)) == 12


def test_a_variant_that_cannot_go_on_is_a_result(ill, program):
    program(original=[None, True], remedy_2=[0.8, False], random=[None, True])
    heard = []
    outcome = api.try_remedy(api.plan_trial(ill, jobs=2), told=lambda job, how: heard.append(how))
    assert heard.count("the loss is not finite") == 6
    text = str(outcome)
    value = json.loads((outcome.folder / "try.json").read_text())
    assert value["variants"][0]["failures"] == {str(seed): "the loss is not finite" for seed in (1, 2, 3)}
    assert "original  none ended, the finding lasts in 3 of 3" in text
    assert "helped; the original could not go on at 3 of 3" in text


def test_a_crash_is_no_result(ill, program):
    program(original=[0.5, True], remedy_2=["text", False], random=[0.5, True])
    with pytest.raises(RunError, match="run 1 failed: TypeError"):
        api.try_remedy(api.plan_trial(ill, jobs=1))


def test_a_folder_of_another_plan_is_left_as_it_is(ill, program):
    program(original=[0.5, True], remedy_2=[0.8, False], random=[0.5, True])
    trial = api.plan_trial(ill, seeds=1)
    api.try_remedy(trial)
    path = trial.folder / "remedy-2" / "1.toml"
    path.write_text(path.read_text().replace("epochs = 1.0", "epochs = 2.0"))
    before = path.read_text()
    with pytest.raises(InputError, match=r"remedy-2/1\.toml: asks for something else .* move .*ill-try-vanishing"):
        api.try_remedy(trial)
    assert path.read_text() == before
    assert len(calls(trial)) == 3


def test_a_stop_is_told_and_the_same_call_goes_on(ill, program):
    program(original=[0.5, True], remedy_2=[0.8, False], random=[0.5, True])
    trial = api.plan_trial(ill, seeds=2, jobs=1)
    done = []
    with pytest.raises(RunError, match="stopped at run 2 of 6; the same command goes on"):
        api.try_remedy(trial, told=lambda job, how: done.append(job), stop=lambda: len(done) == 2)
    assert not (trial.folder / "try.json").exists()
    api.try_remedy(trial)
    assert len(calls(trial)) == 6


def test_below_three_seeds_only_the_numbers_are_told(ill, program):
    program(original=[0.5, True], remedy_2=[0.8, False], random=[0.5, True])
    text = str(api.try_remedy(api.plan_trial(ill, seeds=2)))
    assert "30.00 points [30.00, 30.00] at 2 seeds" in text
    assert "helped" not in text
    assert "distinguishable" not in text


@pytest.mark.parametrize(
    ("original", "changed", "metric", "verdict", "words"),
    [
        ([0.5, 0.51, 0.52], [0.6, 0.62, 0.61], SHARE, "helped", "helped by 10.00 points [7.52, 12.48] at 3 seeds"),
        ([0.6, 0.62, 0.61], [0.5, 0.51, 0.52], SHARE, "worse", "worse by 10.00 points [7.52, 12.48] at 3 seeds"),
        ([0.5, 0.6, 0.7], [0.6, 0.55, 0.7], SHARE, "not distinguishable", "not distinguishable: 1.67 points ["),
        ([90.0, 91.0, 92.0], [80.0, 81.5, 82.0], NATS, "helped", "helped by 9.83 nats per image ["),
        ([0.5], [0.9], SHARE, "", "40.00 points at 1 seed"),
        ([0.5, 0.5], [0.9, 0.8], SHARE, "", "35.00 points ["),
        ([None] * 3, [0.9, 0.8, 0.9], SHARE, "helped", "helped; the original could not go on at 3 of 3"),
        ([0.9, 0.8, 0.9], [None] * 3, SHARE, "worse", "worse; it could not go on at 3 of 3"),
        (
            [None] * 3,
            [None] * 3,
            SHARE,
            "not distinguishable",
            "not distinguishable; it could not go on at 3 of 3; the",
        ),
        ([0.5] * 4, [0.9, 0.9, 0.9, None], SHARE, "not distinguishable", "; it could not go on at 1 of 4"),
        ([0.5, 0.5, 0.5, None], [0.9] * 4, SHARE, "helped", "at 3 seeds; the original could not go on at 1 of 4"),
        ([0.5, None, None], [0.9] * 3, SHARE, "not distinguishable", "40.00 points at 1 seed; the original"),
    ],
)
def test_a_word_is_said_only_where_the_interval_leaves_out_nothing(original, changed, metric, verdict, words):
    comparison = compare(original, changed, metric)
    assert comparison.verdict == verdict
    assert words in format_comparison(comparison, metric, len(original))
    json.dumps(comparison.to_json(), allow_nan=False)


def test_runs_are_trained_for_good(plain_run, tmp_path):
    run = api.Run(with_findings(plain_run, tmp_path / "ill", [GRADIENTS]))
    outcome = api.try_remedy(api.plan_trial(run, seeds=1, jobs=2))
    assert [variant.variant.name for variant in outcome.variants] == ["original", "remedy-2", "random"]
    for variant in outcome.variants:
        (value,) = variant.values
        assert 0 <= value <= 1
        assert variant.found in ((True,), (False,))
    spec = seewhy.Run(outcome.folder / "remedy-2" / "1").spec
    assert spec.model.norm.name == "batch"
    assert spec.train.epochs == plain_run.spec.train.epochs
    shutil.rmtree(Path(outcome.folder))
