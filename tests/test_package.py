"""What ships with the code says the same everywhere: versions, release notes, files of convention."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import seewhy

HOME = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_said_once():
    assert "version" in PROJECT["dynamic"]
    assert yaml.safe_load((HOME / "CITATION.cff").read_text())["version"] == seewhy.__version__


def test_types_are_for_users_too():
    assert (Path(seewhy.__file__).parent / "py.typed").is_file()


def release_notes(*arguments):
    command = [sys.executable, HOME / ".ci" / "release_notes.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_release_notes_are_a_versions_section():
    notes = release_notes(f"v{seewhy.__version__}").stdout
    assert notes.startswith("- ")
    assert "\n## " not in notes
    assert notes == release_notes().stdout
    assert all(line.startswith(("-", "#", " ")) or not line for line in notes.splitlines())  # an item a line


def test_release_notes_of_a_version_that_there_is_not():
    done = release_notes("99.0")
    assert done.returncode != 0
    assert "has no version '99.0'" in done.stderr


@pytest.mark.parametrize("extra", ["tensorboard", "wandb", "mlflow"])
def test_trackers_are_extras_called_as_their_options(extra):
    assert PROJECT["optional-dependencies"][extra][0].startswith(extra)


def test_everything_that_tests_need_is_in_dev():
    named = " ".join(PROJECT["optional-dependencies"]["dev"])
    assert all(package in named for package in ("pytest", "sphinx", "myst-nb", "furo", "build", "pyyaml"))
