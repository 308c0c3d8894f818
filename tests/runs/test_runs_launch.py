"""Many runs as processes: those that end, fail, go on, are stopped. A script stands in for `python -m seewhy`."""

import sys
import time
from dataclasses import replace

import pytest

from seewhy.core.errors import InputError, RunError
from seewhy.runs import launch as module
from seewhy.runs import server
from seewhy.runs.launch import Job, launch

PROGRAM = """#!/bin/sh
# -P -m seewhy train --spec REQUEST --out FOLDER, or -P -m seewhy train --resume FOLDER
if [ "$5" = --spec ]; then mkdir "$8" && cp "$6" "$8/spec.toml"; folder="$8"; else folder="$6"; fi
echo "$5" >> "$folder/calls.txt"
ready() { while [ ! -e "$folder/../01/ready" ]; do sleep 0.02; done; }  # the first one can be told to save
case "$(head -n 1 "$folder/spec.toml")" in
    quick) echo '{}' > "$folder/results.json" ;;
    words) echo "$@" > "$folder/words.txt"; echo '{}' > "$folder/results.json" ;;
    slow) sleep 0.4; echo '{}' > "$folder/results.json" ;;
    wrong) ready; echo "first words"; echo "seewhy train: model.width: must be at least 1" >&2; exit 2 ;;
    broken) ready; echo "seewhy train: the loss is not finite" >&2; exit 1 ;;
    silent) ready; exit 3 ;;
    long) trap 'echo saved > "$folder/saved.txt"; exit 1' TERM
          touch "$folder/ready"
          while true; do sleep 0.05; done ;;
esac
"""


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    path = tmp_path / "program.sh"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(server, "FORKS", False)  # forks are tested by themselves
    monkeypatch.setattr(module, "POLL", 0.02)


def jobs(tmp_path, *kinds):
    made = []
    tmp_path.mkdir(exist_ok=True)
    for number, kind in enumerate(kinds, start=1):
        request = tmp_path / f"{number:02d}.toml"
        request.write_text(f"{kind}\n")
        made.append(Job(request, tmp_path / f"{number:02d}", tmp_path / f"{number:02d}.log"))
    return made


def calls(job):
    return (job.folder / "calls.txt").read_text().split()


def test_all_are_trained_and_each_end_is_told(tmp_path):
    works, ended = jobs(tmp_path, "slow", "quick", "quick"), []
    launch(works, at_once=2, ended=ended.append)
    assert all(job.ended for job in works)
    assert [job.folder.name for job in ended] == ["02", "03", "01"]
    assert all(calls(job) == ["--spec"] for job in works)


def test_no_more_than_so_many_run_at_once(tmp_path):
    works, most = jobs(tmp_path, *["slow"] * 4), []

    def stop():
        most.append(sum(job.folder.exists() and not job.ended for job in works))
        return False

    launch(works, at_once=2, stop=stop)
    assert max(most) == 2


def test_those_that_have_ended_are_left_alone_and_those_that_began_go_on(tmp_path):
    works = jobs(tmp_path, "quick", "quick", "quick")
    for job in works[:2]:
        job.folder.mkdir()
        (job.folder / "spec.toml").write_text("quick\n")
    (works[0].folder / "results.json").write_text("{}")
    works[2].folder.mkdir()  # killed while its folder was made
    (works[2].folder / "data.json").write_text("{}")
    ended = []
    launch(works, at_once=3, ended=ended.append)
    assert not (works[0].folder / "calls.txt").exists()
    assert [calls(job) for job in works[1:]] == [["--resume"], ["--spec"]]
    assert not (works[2].folder / "data.json").exists()
    assert {job.folder.name for job in ended} == {"02", "03"}


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (
            "wrong",
            InputError,
            "run 02 failed: seewhy train: model.width: must be at least 1; see {log}; the others are kept",
        ),
        ("broken", RunError, "run 02 failed: seewhy train: the loss is not finite; see {log}; the others are kept"),
        ("silent", RunError, "run 02 failed: it said nothing; see {log}; the others are kept"),
    ],
)
def test_a_failure_is_told_in_its_own_words_and_the_others_save(kind, error, message, tmp_path):
    works = jobs(tmp_path, "long", kind, "quick")
    with pytest.raises(error) as caught:
        launch(works, at_once=2)
    assert str(caught.value) == message.format(log=works[1].log)
    assert (works[0].folder / "saved.txt").exists()
    assert not works[2].folder.exists()  # it was still waiting


def test_a_failure_that_is_heard_stops_nobody_and_one_of_the_input_does(tmp_path):
    works, heard, ended = jobs(tmp_path, "quick", "broken", "quick"), [], []
    (tmp_path / "01").mkdir()
    (tmp_path / "01" / "spec.toml").write_text("quick\n")
    (tmp_path / "01" / "ready").touch()
    launch(works, at_once=1, ended=ended.append, failed=lambda job, error: heard.append((job, str(error))))
    assert heard == [(works[1], "the loss is not finite")]
    assert ended == [works[0], works[2]]
    for kind, error in (("wrong", InputError), ("silent", RunError)):
        works = jobs(tmp_path / kind, kind)
        (tmp_path / kind / "01").mkdir()
        (tmp_path / kind / "01" / "ready").touch()
        (tmp_path / kind / "01" / "spec.toml").write_text(f"{kind}\n")
        with pytest.raises(error, match="run 01 failed"):
            launch(works, at_once=1, failed=lambda job, error: heard.append((job, str(error))))
    assert len(heard) == 1


def test_a_job_that_is_not_watched_says_so_in_its_command(tmp_path):
    words = []
    for name, watch in (("a", True), ("b", False)):
        (work,) = jobs(tmp_path / name, "words")
        launch([replace(work, watch=watch)], at_once=1)
        words.append((work.folder / "words.txt").read_text().split())
    assert "--no-watch" not in words[0]
    assert words[1][-1] == "--no-watch"


def test_a_stop_lets_the_running_ones_save_and_starts_no_other(tmp_path):
    works = jobs(tmp_path, "long", "long", "quick")
    launch(works, at_once=2, stop=lambda: all((job.folder / "ready").exists() for job in works[:2]))
    assert all((job.folder / "saved.txt").exists() for job in works[:2])
    assert not works[2].folder.exists()
    for job in works[:2]:
        (job.folder / "spec.toml").write_text("quick\n")
    launch(works, at_once=2)
    assert [calls(job) for job in works] == [["--spec", "--resume"], ["--spec", "--resume"], ["--spec"]]


def test_a_stop_before_the_first_starts_none(tmp_path):
    works = jobs(tmp_path, "quick")
    launch(works, at_once=1, stop=lambda: True)
    assert not works[0].folder.exists()
    launch([], at_once=1)


def test_an_exception_of_the_callers_leaves_no_process_behind(tmp_path):
    works = jobs(tmp_path, "long", "quick")

    def ended(job):
        while not (works[0].folder / "ready").exists():
            time.sleep(0.02)
        raise ValueError("mine")

    start = time.monotonic()
    with pytest.raises(ValueError, match="mine"):
        launch(works, at_once=2, ended=ended)
    assert (works[0].folder / "saved.txt").exists()
    assert time.monotonic() - start < 10
