"""Addresses of receivers as they may stand in a file kept in a repository: they lead somewhere, and hold no known secret. Pure."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

SECRET_PARAMETERS: Final = (
    *("token", "accesstoken", "key", "apikey", "xapikey", "secret", "clientsecret", "password", "passwd", "pass", "pwd"),
    *("sig", "signature", "auth", "authorization", "code"),
)
"""Names of parameters, in small letters, without - and _."""
SECRET_HOSTS: Final = (
    *("hooks.slack.com", "discord.com", "discordapp.com", "webhook.office.com", "outlook.office.com", "logic.azure.com"),
    *("api.telegram.org", "hooks.zapier.com", "make.com", "maker.ifttt.com", "chat.googleapis.com"),
)
"""Whose webhooks are secret as a whole: who knows the address may write."""
_SECRET_PATH: Final = re.compile(r"/hooks/[a-z0-9]{20,}/?$|/integration/[a-z0-9]{20,}/|/bot\d+:[\w-]{20,}")
"""Mattermost, PagerDuty, Telegram on a server of one's own."""
OPEN: Final = (
    *("json", "jsons", "xml", "xmls", "form", "forms", "syslog", "dbus", "gnome", "macosx", "windows"),
    *("mqtt", "mqtts", "ntfy", "ntfys"),
)
"""Kinds of apprise address that need hold no secret; in those of chats, pagers and mail it is the address itself."""
_REMEDY: Final = "put it into an environment variable and name that in url_env"


def trouble(kind: str, url: str) -> str:
    """Say what is wrong with an address, without it; empty = nothing."""
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "is no address"
    if kind != "apprise" and (parts.scheme not in ("http", "https") or not host):
        return "must be an address like https://host/path"
    if kind == "apprise" and not parts.scheme:
        return "must be an address of apprise, like json://host/path"
    if "@" in parts.netloc:
        return f"holds a user or password (before the @): {_REMEDY}"
    if held := next((name for name in parse_qs(parts.query, keep_blank_values=True) if _plain(name) in SECRET_PARAMETERS), None):
        return f"holds a secret (parameter {held}): {_REMEDY}"
    if any(host == one or host.endswith(f".{one}") for one in SECRET_HOSTS) or _SECRET_PATH.search(parts.path):
        return f"of {host} is a secret as a whole: {_REMEDY}"
    if kind == "apprise" and parts.scheme.lower() not in (*OPEN, "http", "https"):
        return f"of {parts.scheme}:// is a secret as a whole: {_REMEDY}"
    return ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
