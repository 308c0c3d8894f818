"""Files are whole or not there, and an error names the file."""

import errno
import json
import os
from pathlib import Path

import pytest

from seewhy.core.errors import InputError, RunError
from seewhy.core.files import (
    free_path,
    read_text,
    remove_leftovers,
    user_path,
    whole_folder,
    write_atomic,
    write_json,
    write_text,
)


def test_write_replaces_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_full_disk_keeps_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fill(temporary):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"cannot write .*a\.txt: No space left on device"):
        write_atomic(path, fill)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_place_that_became_read_only_is_named(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunError, match=r"cannot write .*a\.txt: Read-only file system"):
        write_atomic(tmp_path / "a.txt", refuse)


def test_what_has_no_name_gets_one_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = []
    for _ in range(3):
        given.append(str(free_path(Path("a"), ".png")))
        Path(given[-1]).touch()
    assert given == ["a.png", "a-2.png", "a-3.png"]


def test_a_pipe_is_no_file_to_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_text(tmp_path / "pipe")
    write_text(tmp_path / "a.txt", "é")
    assert read_text(tmp_path / "a.txt") == "é"


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match=r"none/a\.txt: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "x")


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "a.json", {"x": [1, "é"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, "é"]}


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    write_text(tmp_path / "a.txt", "kept")
    (tmp_path / ".a.txt.123.tmp").write_text("half")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "none")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_leftovers_below_are_removed_and_nothing_a_link_leads_to(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_text(elsewhere / "kept.txt", "kept")
    home = tmp_path / "home"
    (home / "a" / ".b.9.tmp").mkdir(parents=True)
    write_text(home / "a" / ".b.9.tmp" / "half.png", "half")
    write_text(home / "a" / ".c.png.9.tmp", "half")
    write_text(home / "a" / "d.png", "whole")
    (home / ".link.9.tmp").symlink_to(elsewhere, target_is_directory=True)
    remove_leftovers(home)
    assert sorted(path.name for path in home.rglob("*")) == ["a", "d.png"]
    assert (elsewhere / "kept.txt").exists()


def test_a_folder_is_whole_or_not_there(tmp_path):
    path = tmp_path / "new" / "run"
    with whole_folder(path) as temporary:
        write_text(temporary / "a.txt", "a")
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["a.txt"]

    def fail():
        with whole_folder(tmp_path / "other") as temporary:
            write_text(temporary / "a.txt", "a")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    with pytest.raises(RunError, match=r"run: was made by another process meanwhile"), whole_folder(path):
        pass
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.txt", "new", "run"]


def test_what_a_killed_process_left_of_a_folder_is_removed_and_a_living_ones_is_not(tmp_path):
    dead, living = tmp_path / ".run.999999999.tmp", tmp_path / f".run.{os.getppid()}.tmp"
    for folder in (dead, living):
        folder.mkdir()
    with whole_folder(tmp_path / "run"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "run"]


def test_a_path_is_what_the_user_means(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/runs", "out") == tmp_path / "runs"
    assert user_path(Path("~"), "out") == tmp_path
    assert user_path("a~b", "out") == Path("a~b")


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 300, "a/" * 5000, "~nobody-of-this-name/x", 3, None, b"", ["a"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match=r"^out: "):
        user_path(path, "out")
