"""Addresses of receivers as they may stand in a file that is kept in a repository: they lead somewhere, and hold no secret. Pure."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

SECRET_PARAMETERS: Final = ("token", "key", "apikey", "api_key", "access_token", "secret", "password", "pass", "sig", "signature", "auth")
SECRET_PATHS: Final = ("hooks.slack.com", "discord.com", "discordapp.com", "webhook.office.com", "outlook.office.com", "logic.azure.com")
"""Hosts whose webhooks are secret as a whole: who knows the address may write."""
OPEN: Final = ("json", "jsons", "xml", "xmls", "form", "forms", "syslog", "dbus", "gnome", "macosx", "windows")
"""Kinds of apprise address that need hold no secret; in those of chats, pagers and mail it is the address itself."""
_REMEDY: Final = "put it into an environment variable and name that in url_env"


def trouble(kind: str, url: str) -> str:
    """Say what is wrong with an address, without it; empty = nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no address"
    if kind != "apprise" and (parts.scheme not in ("http", "https") or not host):
        return "must be an address like https://host/path"
    if kind == "apprise" and not parts.scheme:
        return "must be an address of apprise, like json://host/path"
    if "@" in parts.netloc:
        return f"holds a user or password (before the @): {_REMEDY}"
    if held := next((name for name in parse_qs(parts.query, keep_blank_values=True) if name.lower() in SECRET_PARAMETERS), None):
        return f"holds a secret (parameter {held}): {_REMEDY}"
    if any(host == one or host.endswith(f".{one}") for one in SECRET_PATHS):
        return f"of {host} is a secret as a whole: {_REMEDY}"
    if kind == "apprise" and parts.scheme.lower() not in (*OPEN, "http", "https"):
        return f"of {parts.scheme}:// is a secret as a whole: {_REMEDY}"
    return ""
