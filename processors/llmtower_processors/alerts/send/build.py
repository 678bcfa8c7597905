"""From a route in the file to a sender; secrets come from the environment and are held as SecretStr."""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import SecretStr

from llmtower_processors.alerts.model import Notification, SendError
from llmtower_processors.alerts.rules import Route
from llmtower_schemas.settings import AlertSettings


class ManySender(Protocol):
    """A sender that can also tell of several at once."""

    async def send(self, notification: Notification) -> None:
        """Tell of one. Raises SendError."""

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Tell of several as one. Raises SendError."""

    async def tell(self, head: str, body: str) -> None:
        """Tell something that is no alert: a report. Raises SendError."""


class UnableSender:
    """Stands for a route that cannot be built: what it should tell waits, and the reason is said."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def send(self, notification: Notification) -> None:
        """Say why not."""
        raise SendError(self.reason)

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Say why not."""
        raise SendError(self.reason)

    async def tell(self, head: str, body: str) -> None:
        """Say why not."""
        raise SendError(self.reason)


def routes_of(routes: Mapping[str, Route], settings: AlertSettings) -> dict[str, Route]:
    """Give the routes of the file, and `default` from the settings where the file has none."""
    found = dict(routes)
    if settings.webhook_url is not None and "default" not in found:
        found["default"] = Route()
    return found


def build_senders(routes: Mapping[str, Route], settings: AlertSettings, environ: Mapping[str, str]) -> dict[str, ManySender]:
    """Give a sender for every route; one that cannot be built refuses with a sentence and holds nobody else up."""
    return {name: _sender(name, route, settings, environ) for name, route in routes_of(routes, settings).items()}


def addresses(routes: Mapping[str, Route], settings: AlertSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the address of every route as far as it is known: secret, to be looked at and never shown."""
    return {name: _address(name, route, settings, environ).get_secret_value() for name, route in routes_of(routes, settings).items()}


def _address(name: str, route: Route, settings: AlertSettings, environ: Mapping[str, str]) -> SecretStr:
    own = environ.get(route.url_env, "") if route.url_env else route.url
    if not own and not route.url_env and name == "default" and settings.webhook_url is not None:
        return settings.webhook_url
    return SecretStr(own)


def _sender(name: str, route: Route, settings: AlertSettings, environ: Mapping[str, str]) -> ManySender:
    missing = [variable for variable in (route.url_env, route.secret_env) if variable and not environ.get(variable)]
    if missing:
        return UnableSender(
            f"Route {name} needs the environment variable {missing[0]}, which is not set. Set it and start the worker again."
        )
    url = _address(name, route, settings, environ)
    secret = SecretStr(environ[route.secret_env]) if route.secret_env else settings.webhook_secret if url is settings.webhook_url else None
    if not url.get_secret_value():
        return UnableSender(f"Route {name} has no address: give it url or url_env.")
    try:
        return _of_kind(route, url, secret)
    except ModuleNotFoundError as error:
        return UnableSender(f"Route {name} needs {error.name}, which is not installed. Run: pip install 'llmtower[notify]'")
    except SendError as error:
        return UnableSender(f"Route {name}: {error}")


def _of_kind(route: Route, url: SecretStr, secret: SecretStr | None) -> ManySender:
    if route.kind == "apprise":
        from llmtower_processors.alerts.send.chat import AppriseSender

        return AppriseSender(url)
    if route.kind == "alertmanager":
        from llmtower_processors.alerts.send.alertmanager import AlertmanagerSender

        return AlertmanagerSender(url, time.time)
    from llmtower_processors.alerts.send.webhook import WebhookSender

    return WebhookSender(url, secret, time.time)
