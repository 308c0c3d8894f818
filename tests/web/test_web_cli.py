"""`seewhy web`: what it refuses before it serves, and what it serves."""

import pytest

from seewhy.cli.commands import web
from seewhy.cli.main import run
from seewhy.web import serve


@pytest.fixture
def served(monkeypatch):
    """What would be served, instead of serving it."""
    found = []

    def instead(settings, told):
        told("http://127.0.0.1:1/?token=x")
        found.append(settings)

    monkeypatch.setattr(serve, "serve", instead)
    return found


def test_the_usual_folders(served, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["web"]) == 0
    (settings,) = served
    assert settings.places.runs == (tmp_path / "runs",)
    assert settings.places.data == (tmp_path,)
    assert (settings.host, settings.port, settings.password, settings.trust) == ("127.0.0.1", 0, None, False)
    assert (tmp_path / "runs").is_dir()
    assert capsys.readouterr().out == "http://127.0.0.1:1/?token=x\n"


def test_what_is_named_counts(served, tmp_path, monkeypatch):
    for name in ("a", "b", "photos"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(web.getpass, "getpass", lambda _: "typed")
    assert (
        run(["web", "a", "b", "a", "--data", "photos", "--port", "8000", "--host", "::1", "--trust", "--password"]) == 0
    )
    (settings,) = served
    assert settings.places.runs == (tmp_path / "a", tmp_path / "b")
    assert settings.places.data == (tmp_path / "photos",)
    assert (settings.host, settings.port, settings.password, settings.trust) == ("::1", 8000, "typed", True)


def test_what_is_missing_is_named(served, tmp_path, monkeypatch, capsys):
    assert run(["web", str(tmp_path / "none")]) == 2
    assert "none: there is no such folder; make it" in capsys.readouterr().err
    monkeypatch.setattr(web, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert run(["web", str(tmp_path)]) == 2
    assert "needs uvicorn; pip install 'seewhy[web]'" in capsys.readouterr().err
    assert served == []
