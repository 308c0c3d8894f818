"""Files of JSON lines: what a killed process left half written is no line, and goes."""

import json

import pytest

from seewhy.core.errors import InputError
from seewhy.core.json_lines import keep_lines, read_lines


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    path.write_text('{"a": 1}\nnonsense\n[2]\n{"a": 3}\n{"a": 4}')
    assert read_lines(path) == [{"a": 1}, {"a": 3}]
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(path)


def test_lines_are_kept_as_they_were_written_and_appended_to(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a":   1.50}\nnonsense\n{"a": 2}\n{"a": 3}\n{"a": ')
    keep_lines(path, lambda value: value["a"] != 2)
    assert path.read_text() == '{"a":   1.50}\n{"a": 3}\n'
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"a": 4}) + "\n")
    assert [value["a"] for value in read_lines(path)] == [1.5, 3, 4]
    before = path.stat().st_ino
    keep_lines(path, lambda _: True)
    assert path.stat().st_ino == before  # nothing to change, nothing written
