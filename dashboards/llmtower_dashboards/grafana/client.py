"""Grafana by its HTTP API, through grafana-client. Edge; needs the extra `grafana`, which brings an urllib3 of its own."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from llmtower_dashboards.grafana.dashboards import FOLDER_UID
from llmtower_dashboards.grafana.errors import GrafanaError
from llmtower_dashboards.grafana.resources import Body, Kind, Resource
from llmtower_dashboards.grafana.trouble import no_grafana, not_ready, refused, too_old, unreachable

TIMEOUT_S: Final = 15.0
_NOT_FOUND: Final = 404
Api = Any
"""`grafana_client.GrafanaApi`: it is not annotated."""


class HttpGrafana:
    """One Grafana at an address, with a service account's token. Nothing is asked before the first read."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        from grafana_client import GrafanaApi, TokenAuth

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GrafanaError(f"{url!r} is no address of a Grafana: write http://host:3000 into LLMTOWER_GRAFANA__URL.")
        if not token:
            raise GrafanaError(
                "Grafana wants a token: make a service account with the role Admin (in Grafana: Administration, Users and access, Service"
                " accounts) and set LLMTOWER_GRAFANA__TOKEN."
            )
        self._url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        root = parts._replace(path=f"{parts.path.rstrip('/')}/").geturl()  # grafana-client glues `api` to whatever the path is
        self._api: Api = GrafanaApi.from_url(root, credential=TokenAuth(token), timeout=timeout_s)

    def greet(self) -> None:
        """Make sure that a Grafana answers, of a version that the dashboards are made for. Raises GrafanaError."""
        from grafana_client.client import GrafanaException

        try:
            health = self._answered(lambda: self._api.client.GET("/health"))
        except GrafanaException as error:
            raise GrafanaError(not_ready(self._url, error.status_code)) from error
        if not isinstance(health, dict) or "database" not in health:
            raise GrafanaError(no_grafana(self._url))
        if old := too_old(self._url, health):
            raise GrafanaError(old)

    def read(self, resource: Resource) -> Body | None:
        """Give what stands there. Raises GrafanaError."""
        found: Body | None = self._asked(resource, lambda: _READ[resource.kind](self._api, resource), missing=True)
        return found

    def write(self, resource: Resource, *, exists: bool) -> None:
        """Create or replace it. Raises GrafanaError."""
        self._asked(resource, lambda: _WRITE[resource.kind](self._api, resource, exists), missing=False)

    def _asked(self, resource: Resource, call: Callable[[], Any], *, missing: bool) -> Any:
        from grafana_client.client import GrafanaException

        try:
            return self._answered(call)
        except GrafanaException as error:
            if missing and error.status_code == _NOT_FOUND:
                return None
            raise GrafanaError(refused(resource.kind, resource.name, self._url, error.status_code, _said(error.response))) from error

    def _answered(self, call: Callable[[], Any]) -> Any:
        from grafana_client.client import GrafanaTimeoutError
        from niquests.exceptions import InvalidJSONError, RequestException

        try:
            return call()
        except InvalidJSONError as error:
            raise GrafanaError(no_grafana(self._url)) from error
        except (RequestException, GrafanaTimeoutError) as error:
            raise GrafanaError(unreachable(self._url, error)) from error


def _said(response: Any) -> str:
    return str(response.get("message", "")) if isinstance(response, dict) else ""


def _read_folder(api: Api, resource: Resource) -> Body | None:
    found: Body = api.folder.get_folder(resource.name)
    return found


def _write_folder(api: Api, resource: Resource, exists: bool) -> None:
    title = resource.body["title"]
    if exists:
        api.folder.update_folder(resource.name, title=title, overwrite=True)
    else:
        api.folder.create_folder(title, uid=resource.name)


def _read_source(api: Api, resource: Resource) -> Body | None:
    found: Body = api.datasource.get_datasource_by_uid(resource.name)
    return found


def _write_source(api: Api, resource: Resource, exists: bool) -> None:
    body = {**resource.body, "secureJsonData": dict(resource.secrets)}
    if exists:
        api.datasource.update_datasource_by_uid(resource.name, body)
    else:
        api.datasource.create_datasource(body)


def _read_dashboard(api: Api, resource: Resource) -> Body | None:
    found: Body = api.dashboard.get_dashboard(resource.name)["dashboard"]
    return found


def _write_dashboard(api: Api, resource: Resource, _exists: bool) -> None:
    message = "llmtower dashboards push"
    api.dashboard.update_dashboard(
        {"dashboard": {**resource.body, "id": None}, "folderUid": FOLDER_UID, "overwrite": True, "message": message}
    )


def _read_rules(api: Api, resource: Resource) -> Body | None:
    folder, _, group = resource.name.partition("/")
    found: Body = api.alertingprovisioning.get_rule_group(folder, group)
    return found


def _write_rules(api: Api, resource: Resource, _exists: bool) -> None:
    folder, _, group = resource.name.partition("/")
    api.alertingprovisioning.update_rule_group(folder, group, dict(resource.body), disable_provenance=True)


def _read_template(api: Api, resource: Resource) -> Body | None:
    """grafana-client knows no templates of messages."""
    found: Body = api.client.GET(f"/v1/provisioning/templates/{resource.name}")
    return found


def _write_template(api: Api, resource: Resource, _exists: bool) -> None:
    """Without a version Grafana does not ask whether somebody has changed it meanwhile."""
    headers = {"X-Disable-Provenance": "true"}
    api.client.PUT(f"/v1/provisioning/templates/{resource.name}", json={"template": resource.body["template"]}, headers=headers)


def _read_contact(api: Api, resource: Resource) -> Body | None:
    found: list[Body] = api.alertingprovisioning.get_contactpoints()
    return next((one for one in found if one.get("uid") == resource.name), None)


def _write_contact(api: Api, resource: Resource, exists: bool) -> None:
    if exists:
        api.alertingprovisioning.update_contactpoint(resource.name, dict(resource.body), disable_provenance=True)
    else:
        api.alertingprovisioning.create_contactpoint(dict(resource.body), disable_provenance=True)


def _read_policy(api: Api, resource: Resource) -> Body | None:
    """One route of the tree; the others belong to somebody else."""
    tree: Body = api.alertingprovisioning.get_notification_policy_tree()
    return next((route for route in tree.get("routes") or [] if route.get("receiver") == resource.name), None)


def _write_policy(api: Api, resource: Resource, _exists: bool) -> None:
    tree = dict(api.alertingprovisioning.get_notification_policy_tree())
    others = [route for route in tree.get("routes") or [] if route.get("receiver") != resource.name]
    api.alertingprovisioning.set_notification_policy_tree({**tree, "routes": [*others, dict(resource.body)]}, disable_provenance=True)


_READ: Final[Mapping[Kind, Callable[[Api, Resource], Body | None]]] = {
    "folder": _read_folder,
    "data source": _read_source,
    "dashboard": _read_dashboard,
    "alert rules": _read_rules,
    "message template": _read_template,
    "contact point": _read_contact,
    "notification policy": _read_policy,
}
_WRITE: Final[Mapping[Kind, Callable[[Api, Resource, bool], None]]] = {
    "folder": _write_folder,
    "data source": _write_source,
    "dashboard": _write_dashboard,
    "alert rules": _write_rules,
    "message template": _write_template,
    "contact point": _write_contact,
    "notification policy": _write_policy,
}
