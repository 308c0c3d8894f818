"""Files are whole or not there, and an error names the file."""

import errno
import json

import pytest

from seewhy.core.errors import RunError
from seewhy.core.files import remove_leftovers, write_atomic, write_json, write_text


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
