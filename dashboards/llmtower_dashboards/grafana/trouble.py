"""What is wrong when Grafana refuses or cannot be reached, in a sentence that says what to do. Pure; no secret is ever in it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmtower_dashboards.grafana.resources import Kind

OLDEST: Final = 11
"""Major version that the dashboards are made for."""
LONGEST: Final = 300
_HOLDS_SECRETS: Final[frozenset[Kind]] = frozenset({"data source", "contact point"})
"""What Grafana says of these may repeat an address or a password."""
_ROLE: Final = "The token may not do that: its service account needs the role Admin (Administration, Users and access, Service accounts)."
_BUSY: Final = "Grafana is not ready, or a proxy before it cannot reach it: try again in a minute; what is done stays done."
_HINTS: Final[Mapping[int, str]] = {
    0: "It took too long: try again; what is done stays done.",
    400: "Grafana does not understand it: another version?",
    401: "Grafana does not know the token, or it has expired: see LLMTOWER_GRAFANA__TOKEN.",
    403: _ROLE,
    404: "This Grafana does not know that address: is LLMTOWER_GRAFANA__URL its root, with its sub-path if it has one?",
    409: "Something else has that name or uid already: rename or delete it in Grafana, then run it again.",
    412: "Somebody changed it meanwhile, or something else has that name: look in Grafana, then run it again.",
    429: "Grafana has had too many requests: try again in a minute.",
    500: "Grafana itself failed, and its own log says why; afterwards run it again: what is done stays done.",
    502: _BUSY,
    503: _BUSY,
    504: _BUSY,
}
_NAMESAKES: Final[Mapping[Kind, str]] = {
    "folder": "Another folder named Llmtower is there, under another uid: rename it or delete it in Grafana, then run it again.",
    "data source": "Another data source named Llmtower is there, under another uid: rename it in Grafana, then run it again.",
}
_PROVISIONED: Final = (
    "It comes from provisioning files, and those win: change them with `llmtower dashboards build`, or take them away and restart Grafana."
)
_CAUSES: Final = (
    (("name or service not known", "nodename nor servname", "temporary failure in name", "resolve"), "its name is not known here."),
    (
        ("certificate_verify_failed", "certificate verify failed", "self-signed", "self signed"),
        "its certificate is not trusted here: name the file of its authority in REQUESTS_CA_BUNDLE.",
    ),
    (
        ("wrong_version_number", "wrong version number", "record layer", "http request"),
        "it speaks no TLS: write http:// in place of https://.",
    ),
    (("refused",), "nobody listens there: is Grafana running, and is the port right?"),
    (("timed out", "timeout"), "it took too long: is a firewall between?"),
    (("too many redirects", "redirect"), "it sends from one address to another: is a login page before it?"),
    (("closed", "reset", "aborted", "badstatusline", "illegal"), "it hangs up: does it want https://?"),
)


def refused(kind: Kind, name: str, url: str, status: int, said: str) -> str:
    """Say which thing Grafana refused, why, and what to do. `said`: its own words."""
    words = " ".join(said.split())[:LONGEST]
    hint = _hint(kind, status, words.lower())
    quoted = f" Grafana says: {words}" if words and status in (400, 409, 412) and kind not in _HOLDS_SECRETS else ""
    return f"The {kind} {name} at {url}: HTTP {status}. {hint}{quoted}"


def _hint(kind: Kind, status: int, words: str) -> str:
    if "provision" in words or "provenance" in words or (status in (400, 403) and "read-only" in words):
        return _PROVISIONED
    if status in (409, 412) and kind in _NAMESAKES and "version" not in words:
        return _NAMESAKES[kind]
    return _HINTS.get(status, _HINTS[500] if status >= 500 else "Grafana's own log says more.")


def unreachable(url: str, error: BaseException) -> str:
    """Say why nothing came back."""
    text = " ".join(_chain(error)).lower()
    for words, cause in _CAUSES:
        if any(word in text for word in words):
            return f"Grafana at {url} (LLMTOWER_GRAFANA__URL) cannot be reached: {cause}"
    return f"Grafana at {url} (LLMTOWER_GRAFANA__URL) cannot be reached: {type(error).__name__}."


def no_grafana(url: str) -> str:
    """Say that something else answers."""
    return (
        f"What answers at {url} is no Grafana: a proxy or a login page before it? LLMTOWER_GRAFANA__URL must be Grafana's own root address,"
        " with its sub-path if it has one."
    )


def not_ready(url: str, status: int) -> str:
    """Say what it means that Grafana's own report of its health is refused."""
    return f"Grafana at {url}: HTTP {status}. {_BUSY}" if status >= 500 else no_grafana(url)


def too_old(url: str, health: Mapping[str, Any]) -> str:
    """Say so of a Grafana that is too old; empty where it is not, or keeps its version to itself."""
    version = str(health.get("version") or "")
    major = version.partition(".")[0]
    old = major.isdecimal() and int(major) < OLDEST
    return f"Grafana at {url} is {version}; the dashboards need {OLDEST} or newer: upgrade it." if old else ""


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__} {error}"
        error = error.__cause__ or error.__context__
