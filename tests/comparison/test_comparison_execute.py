"""Working on a study: no run is done twice and none lost, failures are recorded, stops end cleanly. A stand-in trains."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from comparison_cases import DATA, design_of

from seewhy.comparison import execute
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.progress import Progress
from seewhy.comparison.quality import Sampling
from seewhy.comparison.results import read_outcome
from seewhy.comparison.study import Study
from seewhy.core.errors import InputError, RunError
from seewhy.runs.stopping import ask_to_stop
from seewhy.spec import Metric

VARY = {"activation": ["relu", "elu"]}
PYTHON = sys.executable
WORKER = Path(__file__).with_name("study_worker.py")


def worker(stage, study):
    """Start another process that works on the study, the stand-in in its place too."""
    command = [PYTHON, WORKER, stage.place / "program.sh", study.folder]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_every_run_is_trained_once_in_the_order_of_seeds(stage):
    study = stage.study(design_of(VARY))
    progress = stage.work(study, at_once=1)
    assert progress.complete
    assert stage.starts == [(f"runs/{one}/{seed}", "--spec") for seed in range(3) for one in ("relu", "elu")]
    stage.work(study)
    assert len(stage.starts) == 6


def test_two_processes_do_no_run_twice_and_lose_none(stage):
    study = stage.study(design_of(VARY, seeds=tuple(range(20))))
    workers = [worker(stage, study) for _ in range(2)]
    stage.work(study)
    assert [each.wait() for each in workers] == [0, 0], [each.stderr.read() for each in workers]
    assert sorted(key for key, _ in stage.starts) == sorted(f"runs/{v}/{s}" for v in ("relu", "elu") for s in range(20))
    for each in workers:
        each.stderr.close()


def test_killed_at_random_moments_no_finished_run_is_lost_or_repeated(stage):
    study = stage.study(design_of(VARY, seeds=tuple(range(100))))
    finished = {}
    for pause in (0.05, 0.2, 0.4):
        begun = len(stage.starts)
        process = worker(stage, study)
        wait_until(lambda begun=begun: len(stage.starts) > begun)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        finished = {path: path.stat().st_mtime_ns for path in study.folder.glob("runs/*/*/results.json")} | finished
    assert 0 < len(finished) < 200
    assert stage.work(study).complete
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    new = [key for key, how in stage.starts if how == "--spec"]
    assert len(set(new)) == 200
    repeated = {key for key in new if new.count(key) > 1}
    assert not repeated & {str(path.parent.relative_to(study.folder)) for path in finished}


def test_a_variant_that_always_crashes_is_tried_twice_recorded_and_counted(stage):
    study = stage.study(design_of(VARY))
    for seed in range(3):
        stage.play(f"runs/elu/{seed}", "crash")
    stage.play("runs/relu/1", "once")
    progress = stage.work(study)
    assert progress.complete
    starts = [key for key, _ in stage.starts]
    assert [starts.count(f"runs/elu/{seed}") for seed in range(3)] == [2, 2, 2]
    assert [starts.count(f"runs/relu/{seed}") for seed in range(3)] == [1, 2, 1]
    told = json.loads((study.folder / "runs/elu/0.failed.json").read_text())
    assert told["attempts"] == 2
    assert "ValueError: no luck" in told["reason"]
    assert "0.log" in told["reason"]
    outcome = read_outcome(study)
    assert [row.status for row in outcome.rows if row.variant == "elu"] == ["failed"] * 3
    assert [(each.failed, each.diverged) for each in outcome.figures] == [(0, 0), (3, 0)]
    assert {one.name: (one.runs, one.failed, one.n) for one in outcome.verdict.variants} == {
        "relu": (3, 0, 3),
        "elu": (3, 3, 0),
    }
    assert "none ended" in outcome.table()
    stage.work(study)
    assert len(stage.starts) == len(starts)


def test_a_diverging_run_is_told_in_its_own_words(stage):
    study = stage.study(design_of(VARY, seeds=(0,)))
    stage.play("runs/elu/0", "diverge")
    progress = stage.work(study)
    (row,) = (row for row in read_outcome(study, progress).rows if row.variant == "elu")
    assert row.reason == "the loss is not finite at step 3"
    assert [(each.failed, each.diverged) for each in read_outcome(study).figures] == [(0, 0), (1, 1)]


def test_a_run_that_somebody_stopped_has_not_failed(stage):
    study = stage.study(design_of(VARY, seeds=(0,)))
    stage.play("runs/elu/0", "stopped")
    assert stage.work(study).complete
    assert [how for key, how in stage.starts if key == "runs/elu/0"] == ["--spec", "--resume"]
    assert not list(study.folder.rglob("*.failed.json"))


def test_a_refused_request_ends_the_work_and_counts_as_no_failure(stage):
    study = stage.study(design_of(VARY, seeds=(0, 1, 2, 3)))
    stage.play("runs/relu/0", "refuse")
    stage.play("runs/elu/0", "slow")
    start = time.monotonic()
    with pytest.raises(InputError, match=r"run 0 failed: .*there is no such folder"):
        stage.work(study)
    assert time.monotonic() - start < 15
    # The other slot has saved and started no more before the error was told.
    assert (study.folder / "runs/elu/0/saved").exists()
    before = stage.starts
    time.sleep(0.2)
    assert stage.starts == before
    assert not [thread for thread in threading.enumerate() if thread.name == "seewhy-study"]
    stage.play("runs/relu/0", "")
    stage.play("runs/elu/0", "")
    assert stage.work(study).complete
    assert {row.status for row in read_outcome(study).rows} == {"ended"}


def test_images_that_have_changed_midway_are_refused(stage):
    study = stage.study(design_of(VARY))
    (stage.place / "data.json").write_text(json.dumps({**DATA, "fingerprint": "others"}))
    with pytest.raises(InputError, match="was trained on other images than the study"):
        stage.work(study)
    assert len(stage.starts) <= 2


def test_a_variant_that_decodes_in_another_way_has_a_fingerprint_of_its_own(stage):
    study = stage.study(
        design_of(VARY, seeds=(0,), fingerprint="others", fingerprints={"relu": "images", "elu": "images"})
    )
    assert stage.work(study).complete


def test_a_stop_lets_runs_save_and_says_how_to_go_on(stage):
    study = stage.study(design_of(VARY))
    stage.play("runs/relu/0", "slow")
    with pytest.raises(RunError, match=f"stopped; go on with: seewhy compare --resume {study.folder}"):
        stage.work(study, at_once=1, stop=lambda: bool(stage.starts))
    assert (study.folder / "runs/relu/0/saved").exists()
    assert len(stage.starts) == 1
    assert not list(study.folder.glob(".stop-*"))
    (stage.place / "hurry").touch()
    stage.work(study)
    assert [how for key, how in stage.starts if key == "runs/relu/0"] == ["--spec", "--resume"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_cleanly_and_leaves_no_process(stage, number):
    study = stage.study(design_of(VARY, seeds=(0,)))
    for one in ("relu", "elu"):
        stage.play(f"runs/{one}/0", "slow")
    process = worker(stage, study)
    wait_until(lambda: len(stage.starts) == 2)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode != 0
    assert f"KeyboardInterrupt: stopped; go on with: seewhy compare --resume {study.folder}" in error
    assert all((study.folder / f"runs/{one}/0/saved").exists() for one in ("relu", "elu"))
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(study.folder) not in shown


def test_a_file_in_its_folder_stops_a_study(stage):
    study = stage.study(design_of(VARY, seeds=(0, 1, 2, 3)))
    ask_to_stop(study.folder)  # of somebody before: it is not answered
    stage.play("runs/relu/0", "slow")

    def asked_elsewhere():
        if stage.starts:
            ask_to_stop(study.folder)
        return False

    with pytest.raises(RunError, match="stopped; go on with"):
        stage.work(study, at_once=1, stop=asked_elsewhere)
    assert (study.folder / "runs/relu/0/saved").exists()
    assert len(stage.starts) == 1


def test_whoever_helps_takes_up_what_the_study_has_gained(stage):
    study = stage.study(design_of(VARY))
    stage.play("runs/relu/0", "slow")
    helper = threading.Thread(target=lambda: stage.work(StudyFolder(study.folder), at_once=1))
    helper.start()
    wait_until(lambda: stage.starts)
    more = design_of({"activation": ["relu", "elu", "tanh"]}, seeds=(0, 1, 2, 3))
    study.extend(more)
    (stage.place / "hurry").touch()
    helper.join()
    assert sorted({key for key, _ in stage.starts}) == sorted(
        f"runs/{v}/{s}" for v in ("relu", "elu", "tanh") for s in range(4)
    )


def test_an_extension_trains_only_what_is_new(stage):
    study = stage.study(design_of(VARY))
    stage.work(study)
    times = {path: path.stat().st_mtime_ns for path in study.folder.glob("runs/*/*/results.json")}
    study.extend(replace(design_of({"activation": ["relu", "elu", "tanh"]}), seeds=(0, 1, 2, 3)))
    assert stage.work(study).complete
    assert len(stage.starts) == 12
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_damage_is_named(stage):
    study = stage.study(design_of(VARY, seeds=(0,)))
    stage.work(study)
    relu = study.job(Cell("runs", study.design.variants[0], 0)).folder
    (relu / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"relu/0/data.json: is damaged"):
        read_outcome(study)
    (relu / "results.json").write_text('{"val": ')
    failed = study.folder / "runs" / "relu" / "0.failed.json"
    for text, match in (
        ("{", "0.failed.json: is damaged"),
        ('{"attempts": "two"}', "0.failed.json: is damaged; remove it"),
    ):
        failed.write_text(text)
        with pytest.raises(InputError, match=match):
            read_outcome(study)
    failed.unlink()
    (relu / "data.json").write_text(json.dumps(DATA))
    assert stage.work(study).complete  # results that are not whole are no results
    for text in (
        f"a = {'[' * 5000}",
        "format = ",
        "format = 1",
        "format = 2",
        'format = 1\nvariants = "x"',
        "format = 1\nvariants = [1]",
    ):
        (study.folder / "study.toml").write_text(text)
        with pytest.raises(InputError, match=r"study.toml: is (damaged|of another version)"):
            StudyFolder(study.folder)
    (study.folder / "study.toml").unlink()
    with pytest.raises(InputError, match="is no study"):
        Study(study.folder)


def test_an_unknown_engine_and_no_jobs_are_refused(stage):
    study = stage.study(design_of(VARY))
    with pytest.raises(InputError, match="engine: 'spark' is not known"):
        stage.work(study, engine="spark")
    with pytest.raises(InputError, match="jobs: must be at least 1"):
        stage.work(study, at_once=0)
    assert stage.starts == []


def judged_by_samples(stage, text, code=0, **changes):
    (stage.place / "quality.json").write_text(text)
    (stage.place / "quality.code").write_text(str(code))
    fid = Metric("fid", higher=False, unit="FID")
    return stage.study(design_of(VARY, seeds=(0, 1), metric=fid, sampling=Sampling(100), **changes))


def test_samples_are_judged_after_each_judged_run(stage):
    study = judged_by_samples(stage, 'a note {\n"generated": {"frechet": {"fid": 12.5}}}\n', tune="lr")
    assert stage.work(study).complete
    assert len((stage.place / "evaluated").read_text().split()) == 4  # tuning runs are not
    assert [row.value for row in read_outcome(study).rows] == [12.5] * 4
    (study.folder / "runs/relu/0.quality.json").unlink()
    assert not Progress(study).complete
    starts = len(stage.starts)
    assert stage.work(study).complete
    assert (len(stage.starts), len((stage.place / "evaluated").read_text().split())) == (starts, 5)


@pytest.mark.parametrize(
    ("text", "code", "reason"), [("no weights", 1, "could not be judged: no weights"), ("none", 0, "no figures")]
)
def test_samples_that_cannot_be_judged_are_a_failure_with_its_reason(stage, text, code, reason):
    study = judged_by_samples(stage, text, code)
    if code == 0:
        with pytest.raises(InputError, match=reason):
            stage.work(study)
        return
    assert stage.work(study).complete
    assert {row.status for row in read_outcome(study).rows} == {"failed"}
    assert all(reason in row.reason for row in read_outcome(study).rows)


def test_a_slot_that_cannot_write_says_what(stage, monkeypatch):
    study = stage.study(design_of(VARY))

    def full(self, timeout):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execute.FileLock, "acquire", full)
    with pytest.raises(RunError, match=r"cannot write .*lock: No space left"):
        stage.work(study)
