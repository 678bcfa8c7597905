"""What stands before every request: foreign hosts and origins are refused, keys are asked for, nothing from outside may be loaded."""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from html import escape
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from llmtower_dashboards.web.keys import COOKIE, Keys
from llmtower_dashboards.web.theme import css

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN_PATHS: Final = frozenset({"/livez", "/key", "/static/page.css"})
"""What is answered without a key."""
MAX_BODY: Final = 4_096
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The browser itself refuses whatever would leave this origin. NiceGUI compiles its templates in the browser, hence 'unsafe-eval'."""
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on can be reached from this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: App, keys: Keys, *, names: Collection[str] = ()) -> None:
        self._app = app
        self._keys = keys
        self._names = LOOPBACK_NAMES | {name.strip().lower() for name in names if name.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if refusal := self._refusal(headers):
            await _refuse(scope, send, 403, refusal)
        elif scope["type"] == "http" and scope["path"] == "/key":
            await self._sign_in(scope, receive, send, secure=headers.get("x-forwarded-proto", scope["scheme"]) == "https")
        elif scope["path"] not in OPEN_PATHS and "read" not in (scopes := await self._keys.scopes(headers)):
            await _ask_for_key(scope, send)
        else:
            scope["llmtower.scopes"] = scopes = scopes if scope["path"] not in OPEN_PATHS else frozenset()
            scope["llmtower.promoter"] = await self._keys.promoter(headers) if "promote" in scopes else ""
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, headers: MutableMapping[str, str]) -> str:
        """Say why a request is refused; "" when it is not. Another site must not reach a page on this machine (DNS rebinding, CSRF)."""
        host = headers.get("host", "")
        name = _name(f"//{host}")
        if name not in self._names:
            return "This page is not served under that host name. Use 127.0.0.1, or name the host in LLMTOWER_WEB__NAMES."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Requests from other sites are refused."
        return ""

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send, *, secure: bool) -> None:
        if scope["method"] != "POST":
            await _answer(send, 200, _form(_next(scope["query_string"].decode("latin-1"))))
            return
        form = parse_qs((await _body(receive)).decode("utf-8", "replace"))
        token, target = await self._keys.token(form.get("key", [""])[0]), _local(form.get("next", ["/"])[0])
        if token is None:
            await _answer(send, 403, _form(target, "That key opens nothing here. Check for missing characters."))
            return
        cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000{'; Secure' if secure else ''}"
        await _answer(send, 303, "", (b"location", target.encode("latin-1", "replace")), (b"set-cookie", cookie.encode()))


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _next(query: str) -> str:
    return _local(parse_qs(query).get("next", ["/"])[0])


def _local(target: str) -> str:
    """A path on this page, never another site."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() else "/"


async def _body(receive: Receive) -> bytes:
    found: bytes = b""
    while len(found) <= MAX_BODY:
        message = await receive()
        found += bytes(message.get("body", b""))
        if not message.get("more_body"):
            break
    return found if len(found) <= MAX_BODY else b""


async def _ask_for_key(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    query = scope["query_string"].decode("latin-1")
    await _answer(send, 401, _form(_local(scope["path"] + (f"?{query}" if query else ""))))


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await _answer(send, status, document("Refused", f"<h1>Refused</h1><p>{escape(sentence)}</p>"))


async def _answer(send: Send, status: int, html: str, *headers: tuple[bytes, bytes]) -> None:
    shown = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store"), *headers]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": shown})
    await send({"type": "http.response.body", "body": html.encode()})


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *ours]}
        await send(message)

    return sending


def _form(target: str, problem: str = "") -> str:
    said = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    return document(
        "Key",
        f"""<h1>This page wants a key</h1>{said}
<form method="post" action="/key"><input type="hidden" name="next" value="{escape(target)}">
<label>Key <input name="key" type="password" autocomplete="current-password" required autofocus></label>
<button>Open</button></form>
<p>A key of the scope <code>read</code> shows figures, one of the scope <code>content</code> also the texts of calls. Make one with
<code>llmtower keys create</code>. With <code>llmtower up</code> the password <code>content</code> in credentials.json does as well.</p>""",
    )


def document(title: str, body: str) -> str:
    """A page of a few sentences, without any script."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Llmtower: {title}</title><style>{css()}</style><link rel="stylesheet" href="/static/page.css">'
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main class="plain">{body}</main></body></html>'
