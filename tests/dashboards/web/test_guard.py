"""Who gets in: hosts, origins, keys; and what every answer carries."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from llmtower_dashboards.web.budgets import Budgets
from llmtower_dashboards.web.guard import Guard, is_loopback
from llmtower_dashboards.web.keys import COOKIE, Keys
from llmtower_dashboards.web.register import MemoryRegister
from llmtower_dashboards.web.serve import RefusedToBindError, serve
from llmtower_schemas.keys import make_key
from llmtower_schemas.settings import Settings, WebSettings

Message = MutableMapping[str, Any]
READ, CONTENT = "key-to-read", "key-to-texts"


async def _inner(scope: Message, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    said = [*sorted(scope["llmtower.scopes"]), *filter(None, [scope["llmtower.promoter"]])]
    await send({"type": "http.response.body", "body": ",".join(said).encode()})


def ask(
    keys: Keys, path: str = "/", *, kind: str = "http", method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Give status, body and headers of an answer; of a refused websocket its close code."""
    sent: list[Message] = []
    named = {"host": "127.0.0.1:8600", **{name.replace("_", "-"): text for name, text in headers.items()}}
    pairs = [(name.encode(), text.encode()) for name, text in named.items()]
    scope = {"type": kind, "path": path, "method": method, "query_string": b"", "scheme": "http", "headers": pairs}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(_inner, keys, names=("tower.example",))(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return int(sent[0]["code"]), "", {}
    found = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return int(sent[0]["status"]), sent[1]["body"].decode(), found


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost", "[::1]:8600", "LOCALHOST:1", "tower.example"])
def test_known_hosts_are_answered(host: str) -> None:
    assert ask(Keys(), host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "localhost.evil.example:8600", "[::1"]
)
def test_foreign_hosts_are_refused(host: str) -> None:
    assert ask(Keys(), host=host)[0] == 403
    assert ask(Keys(), kind="websocket", host=host)[0] == 1008


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8600", ""])
def test_foreign_origins_are_refused(origin: str) -> None:
    assert ask(Keys(), origin=origin)[0] == 403
    assert ask(Keys(), kind="websocket", origin=origin)[0] == 1008


def test_the_own_origin_is_not_foreign() -> None:
    assert ask(Keys(), origin="http://127.0.0.1:8600")[0] == 200


def test_nothing_outside_may_be_loaded_and_nobody_may_frame_it() -> None:
    policy = ask(Keys())[2]["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_without_a_read_key_everybody_here_reads_and_texts_want_theirs() -> None:
    keys = Keys(content=CONTENT)
    assert ask(keys)[1] == "read"
    assert ask(keys, authorization=f"Bearer {CONTENT}")[1] == "content,read"
    assert ask(keys, authorization="Bearer no")[1] == "read"


def test_with_a_read_key_nothing_is_shown_without_one() -> None:
    keys = Keys(read=READ, content=CONTENT)
    status, body, _ = ask(keys)
    assert status == 401
    assert "wants a key" in body
    assert ask(keys, kind="websocket")[0] == 1008
    assert ask(keys, "/livez")[:2] == (200, ""), "alive for everybody, with no scope"
    assert ask(keys, authorization=f"Bearer {READ}")[1] == "read"
    assert ask(keys, cookie=f"{COOKIE}={asyncio.run(keys.token(CONTENT))}")[1] == "content,read"
    for wrong in (READ, "é", "", "; ;="):
        assert ask(keys, cookie=f"{COOKIE}={wrong}")[0] == 401, "a cookie never holds the key itself"


def test_who_may_promote_is_known_by_the_id_of_the_key() -> None:
    text, made = make_key("default", ("promote",), name="release", at_us=1)
    register = MemoryRegister(made)
    keys = Keys(register=register)
    token = asyncio.run(keys.token(text))
    assert ask(keys, authorization=f"Bearer {text}")[1] == f"promote,read,{made.key_id}"
    assert ask(keys, cookie=f"{COOKIE}={token}")[1] == f"promote,read,{made.key_id}"
    assert ask(keys, cookie=f"{COOKIE}={made.key_id}.0")[1] == "read"
    register.keys[made.key_id] = made.model_copy(update={"revoked_at_us": 2})
    assert ask(keys, cookie=f"{COOKIE}={token}")[1] == "read"


def test_a_key_that_was_made_opens_until_it_is_revoked() -> None:
    text, made = make_key("default", ("read",), name="on call", at_us=1)
    _, emits = make_key("default", ("emit",), name="app", at_us=1)
    register = MemoryRegister(made, emits)
    keys = Keys(given=frozenset(), register=register)
    token = asyncio.run(keys.token(text))
    assert token is not None
    assert text not in token
    assert ask(keys)[0] == 401
    assert ask(keys, authorization=f"Bearer {text}")[1] == "read"
    assert ask(keys, cookie=f"{COOKIE}={token}")[1] == "read"
    assert ask(keys, cookie=f"{COOKIE}={emits.key_id}.{token.partition('.')[2]}")[0] == 401
    assert ask(keys, authorization=f"Bearer llmt_{made.key_id}_wrong")[0] == 401
    register.keys[made.key_id] = made.model_copy(update={"revoked_at_us": 2})
    assert ask(keys, cookie=f"{COOKIE}={token}")[0] == 401
    assert asyncio.run(keys.token(text)) is None


def test_a_key_becomes_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    keys = Keys(read=READ)
    status, _, headers = ask(keys, "/key", method="POST", body=f"key={READ}&next=/cost?app=a".encode())
    assert (status, headers["location"]) == (303, "/cost?app=a")
    assert READ not in headers["set-cookie"]
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    assert "Secure" not in headers["set-cookie"]
    assert "Secure" in ask(keys, "/key", method="POST", body=f"key={READ}".encode(), x_forwarded_proto="https")[2]["set-cookie"]


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: b=c"])
def test_a_key_never_leads_elsewhere(target: str) -> None:
    headers = ask(Keys(read=READ), "/key", method="POST", body=f"key={READ}&next={target}".encode())[2]
    assert headers["location"] == "/"


def test_a_wrong_or_endless_key_is_refused() -> None:
    assert ask(Keys(read=READ), "/key", method="POST", body=b"key=nope")[0] == 403
    assert ask(Keys(read=READ), "/key", method="POST", body=f"key={READ}&x={'y' * 5_000}".encode())[0] == 403
    assert ask(Keys(read=READ), "/key", method="POST", origin="http://evil.example", body=f"key={READ}".encode())[0] == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "tower.example"])
def test_beyond_loopback_it_does_not_listen_without_a_key(host: str) -> None:
    with pytest.raises(RefusedToBindError, match="LLMTOWER_WEB__READ_KEY"):
        serve(Settings(web=WebSettings(host=host)), Budgets())


def test_loopback_is_known() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", ""))
