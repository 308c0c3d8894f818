"""Nobody without the token sees anything, from wherever he comes; what changes something comes from a page of ours."""

import socket

import pytest
from starlette.routing import Route
from web_cases import BASE, PORT, TOKEN, client_of

from seewhy.core.errors import InputError
from seewhy.web.access import Access
from seewhy.web.app import make_app
from seewhy.web.serve import Settings, _listener, given_places


def paths(app):
    """Return every address of the application, with its methods."""
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{key:path}", "0/mlp").replace("{name}", "base.js")
        for method in route.methods or ():
            yield method, path


def test_every_address_is_refused_without_the_token(places):
    app = make_app(places, Access(TOKEN, PORT))
    found = list(paths(app))
    assert len(found) > 20
    with client_of(places, known=False) as client:
        for method, path in found:
            answer = client.request(method, path, headers={"origin": BASE})
            assert answer.status_code == 403, (method, path)
            assert "mlp" not in answer.text


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "t", "ä"])
def test_a_wrong_token_is_refused(places, token):
    with client_of(places, known=False) as client:
        assert client.get("/", params={"token": token}).status_code == 403
        client.cookies.set(f"seewhy-{PORT}", token.encode().hex())
        assert client.get("/").status_code == 403


def test_the_token_in_the_address_becomes_a_cookie_that_no_script_and_no_other_site_can_use(places):
    with client_of(places, known=False) as client:
        answer = client.get("/", params={"token": TOKEN})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"seewhy-{PORT}={TOKEN};")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert client.get("/").status_code == 200
        assert "set-cookie" not in client.get("/").headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", f"10.0.0.7:{PORT}", "a:b:c", ""],
)
def test_another_host_name_is_refused_even_with_the_token(client, host):
    assert client.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_this_machine_has_several_names(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["", "null", "http://evil.example", f"http://127.0.0.1:{PORT + 1}", "http://["])
def test_what_changes_something_comes_from_a_page_of_ours(client, places, origin):
    answer = client.post("/api/remove/0/mlp", headers={"origin": origin})
    assert answer.status_code == 403
    assert (places.runs[0] / "mlp").is_dir()


def test_every_answer_forbids_what_comes_from_elsewhere(client):
    for path in ("/", "/style.css", "/static/base.js", "/nothing", "/api/runs"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_a_report_can_do_nothing_in_the_name_of_the_page(client):
    policy = client.get("/report/0/mlp").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy


def test_another_host_asks_for_the_password(places, monkeypatch):
    monkeypatch.setattr("seewhy.web.access.GUESS_SECONDS", 0.0)
    access = Access(TOKEN, PORT, "0.0.0.0", "open sesame")
    with client_of(places, access, known=False) as client:
        client.headers["origin"] = BASE
        assert 'type="password"' in client.get("/").text
        wrong = client.post("/login", data={"password": "open barley"})
        assert wrong.status_code == 403
        assert "set-cookie" not in wrong.headers
        right = client.post("/login", data={"password": "open sesame"}, follow_redirects=False)
        assert right.status_code == 303
        assert TOKEN in right.headers["set-cookie"]
        assert client.get("/").status_code == 200


def test_a_server_for_others_knows_addresses_and_its_own_names_alone():
    access = Access(TOKEN, PORT, "0.0.0.0", "word")
    assert access.knows(f"192.168.1.5:{PORT}")
    assert not access.knows(f"evil.example:{PORT}")
    assert not Access(TOKEN, PORT).knows(f"192.168.1.5:{PORT}")


def test_there_is_no_password_where_none_was_set(client):
    assert client.post("/login", data={"password": ""}).status_code == 404


def test_another_host_needs_a_password(home):
    given = given_places([str(home)], [])
    with pytest.raises(InputError, match=r"host: 0\.0\.0\.0 .*--password"):
        Settings(given, host="0.0.0.0")
    Settings(given, host="0.0.0.0", password="word")
    with pytest.raises(InputError, match="port: must be"):
        Settings(given, port=70_000)
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        Settings(given_places([str(home / "nowhere")], []))


def test_answers_are_sent_at_once():
    """asyncio sets TCP_NODELAY only where a socket names its protocol; without it the end of an answer waits for 40 ms."""
    with _listener("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(InputError, match="port: cannot listen on"):
            _listener("127.0.0.1", listener.getsockname()[1])
