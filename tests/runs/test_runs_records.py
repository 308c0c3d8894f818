"""What watching has measured and found outlives a killed process: without gaps, doubles, or a word said twice."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import seewhy
from run_cases import MLP, assert_same_bits, raise_at
from seewhy.core.errors import InputError, RunError
from seewhy.core.findings import Finding
from seewhy.diagnosis import rejudge
from seewhy.diagnosis.checks.base import Check, passed, seen
from seewhy.training.events import Found, PassedAway, StepEnded

OPTIONS = {**MLP, "epochs": 2.0, "batch_size": 64, "train.checkpoint_seconds": 0.0}
"""44 steps."""

CRITIC = {"model": "gan", "width": 4, "model.loss": "wasserstein", "precision": "fp32", "train.threads": 1}
GAN = {**CRITIC, "epochs": 1, "batch_size": 64, "train.checkpoint_seconds": 0.0}


def passing(history):
    """Seen at steps 5 to 14."""
    return seen("a title", step=history.loop.step) if 5 <= history.loop.step <= 14 else passed()


def plant(patch):
    """Leave one check, whose finding is confirmed at step 7 and has passed away at step 28."""
    check = Check("passing", passing, "warning", 0, "It passes.", "the test", ())
    patch.setattr("seewhy.diagnosis.network.CHECKS", (check,))


@pytest.fixture
def planted(monkeypatch):
    plant(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run with the planted check; it is only read."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        return seewhy.train("digits", out=tmp_path_factory.mktemp("whole") / "run", **OPTIONS)


@pytest.fixture(scope="module")
def whole_gan(tmp_path_factory):
    """An uninterrupted run of a GAN whose critic takes five steps for one of the generator; it is only read."""
    return seewhy.train("digits", out=tmp_path_factory.mktemp("gan") / "run", **GAN)


def said(run):
    """Return what the events say of findings, and what was measured and found, as the folder has it."""
    events = [(event["event"], event["step"], event["text"]) for event in run.events if "finding" in event]
    return events, lines(run), json.loads((run.folder / "findings.json").read_text())


def lines(run):
    return [json.loads(line) for line in (run.folder / "records.jsonl").read_text().splitlines()]


def test_every_probe_is_a_line_and_can_be_judged_again(tmp_path):
    run = seewhy.train("digits", out=tmp_path / "run", **OPTIONS)
    assert [line["step"] for line in lines(run)] == [1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40]
    assert [entry.record.step for entry in run.records] == [1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40]
    assert run.records[-2].told["val_loss"] == [(22, pytest.approx(run.metrics[0]["val_loss"], rel=1e-5))]
    assert {check.code for check in rejudge(run.records).checks} == {check.code for check in run.checks}
    assert run.past == []
    blind = seewhy.train("digits", out=tmp_path / "blind", watch=False, **OPTIONS)
    assert (blind.records, blind.findings, blind.past, blind.checks) == ([], [], [], [])
    assert not (blind.folder / "records.jsonl").exists()


def test_a_finding_that_passes_away_is_told_once(planted, tmp_path):
    told = []
    run = seewhy.train("digits", out=tmp_path / "run", observers=[told.append], progress=False, **OPTIONS)
    found, gone = (event for event in told if isinstance(event, (Found, PassedAway)))
    assert (found.step, found.finding["code"]) == (7, "passing")
    assert (gone.step, gone.text) == (28, "passed away at step 28: a title")
    assert run.findings == []
    assert run.past == [Finding.from_json(gone.finding)]
    assert run.past[0].ended == 28
    assert [(check.code, check.status) for check in run.checks] == [("passing", "passed")]
    assert "passed away at step 28" in run.report().read_text()


def test_a_person_hears_that_it_passed_away(planted, tmp_path, capsys):
    seewhy.train("digits", out=tmp_path / "run", progress=True, **OPTIONS)
    printed = capsys.readouterr().err
    assert printed.count("warning: a title, step 7") == 1
    assert printed.count("passed away at step 28: a title") == 1


@pytest.mark.parametrize("killed", [1, 8, 20, 21, 30, 40])
def test_whenever_it_ends_the_run_says_the_same(planted, whole, killed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        seewhy.train("digits", out=tmp_path / "run", observers=[raise_at(killed)], **OPTIONS)
    run = seewhy.resume(tmp_path / "run")
    assert_same_bits(run.folder, whole.folder)
    assert said(run) == said(whole)


@pytest.mark.parametrize("killed", [4, 5, 6, 13])
def test_each_network_of_adversarial_training_goes_on_at_its_own_step(whole_gan, killed, tmp_path):
    steps = [(line["step"], line["network"], line["record"]["step"]) for line in lines(whole_gan)]
    assert (5, "discriminator", 5) in steps
    assert [step for step in steps if step[1] == "generator"] == [
        (5, "generator", 1),
        (10, "generator", 2),
        (15, "generator", 3),
        (20, "generator", 4),
    ]
    with pytest.raises(KeyboardInterrupt):
        seewhy.train("digits", out=tmp_path / "run", observers=[raise_at(killed)], **GAN)
    assert said(seewhy.resume(tmp_path / "run")) == said(whole_gan)


def test_killed_with_a_line_half_written(tmp_path):
    whole = seewhy.train("digits", out=tmp_path / "whole", **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        seewhy.train("digits", out=tmp_path / "run", observers=[raise_at(22)], **OPTIONS)
    with open(tmp_path / "run" / "records.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(lines(whole)[-2])[:100])
    assert said(seewhy.resume(tmp_path / "run")) == said(whole)


def test_a_longer_run_goes_on_with_its_records(tmp_path):
    run = seewhy.train("digits", out=tmp_path / "run", **OPTIONS)
    before = lines(run)
    seewhy.resume(run.folder, epochs=3.0)
    assert lines(run)[: len(before)] == before
    assert [line["step"] for line in lines(run)[len(before) :]] == [56]
    assert run.records[-1].loop.step == 56


def test_what_was_not_watched_is_a_gap_and_no_double(tmp_path):
    for step, watch in ((12, True), (25, False)):
        with suppress(KeyboardInterrupt):
            observers, options = [raise_at(step)], {} if (tmp_path / "run").exists() else OPTIONS
            go = seewhy.resume if not options else lambda out, **more: seewhy.train("digits", out=out, **more)
            go(tmp_path / "run", observers=observers, watch=watch, **options)
    run = seewhy.resume(tmp_path / "run")
    steps = [line["step"] for line in lines(run)]
    assert steps[:7] == [1, 2, 3, 4, 5, 7, 10]
    assert 24 < steps[7] < 40
    assert steps == sorted(set(steps))


def test_records_that_are_none_are_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        seewhy.train("digits", out=tmp_path / "run", observers=[raise_at(5)], **OPTIONS)
    (tmp_path / "run" / "records.jsonl").write_text('{"step": 1, "network": 3}\n')
    with pytest.raises(InputError, match=r"records\.jsonl: a line is no entry"):
        seewhy.resume(tmp_path / "run")
    (tmp_path / "run" / "findings.json").write_text('{"findings": [{"code": 1}]}')
    with pytest.raises(InputError, match=r"findings\.json: is damaged"):
        seewhy.Run(tmp_path / "run").findings  # noqa: B018  reading is what fails


def test_an_observer_that_fails_at_a_finding_ends_the_run(planted, tmp_path):
    """It is not swallowed by the watch, in whose hook the finding was made."""

    def observer(event):
        if isinstance(event, Found):
            raise RunError("planted")

    with pytest.raises(RunError, match="planted"):
        seewhy.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    assert seewhy.Run(tmp_path / "run").findings[0].code == "passing"


def test_a_run_that_fails_is_let_go_of(tmp_path):
    networks = []

    def observer(event):
        networks.extend(getattr(event, "networks", {}).values())
        if isinstance(event, StepEnded):
            raise RunError("planted")

    with pytest.raises(RunError, match="planted"):
        seewhy.train("digits", out=tmp_path / "run", observers=[observer], **OPTIONS)
    assert not networks[0]._forward_pre_hooks
    assert seewhy.Run(tmp_path / "run").records


def test_killed_for_good_at_several_moments(tmp_path):
    """By SIGKILL, in a process of its own, wherever it is."""
    whole = seewhy.train(
        "digits", out=tmp_path / "whole", **CRITIC, epochs=2.0, batch_size=64, **{"train.checkpoint_seconds": 0.0}
    )
    script = Path(__file__).with_name("kill_server.py")
    moments = [f"{moment:.2f}" for moment in (0.3, 0.45, 0.6, 0.4, 0.5)]
    done = subprocess.run(
        # With an option the interpreter is one of its own, whose legs import much as they go, and last long enough to be killed.
        [sys.executable, "-B", script, tmp_path / "run", whole.folder, *moments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "the legs ended before they were killed"
    run = seewhy.Run(tmp_path / "run")
    assert_same_bits(run.folder, whole.folder)
    assert said(run) == said(whole)
