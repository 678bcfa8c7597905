"""A Grafana to push to: the few paths of its HTTP API that Llmtower uses, with the answers of the real one (version 13), in memory.

Like that one it adds ids, versions and defaults of its own, never gives a secret back, refuses what is not there or is there already.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.standins.grafana_alerting import faults_of_contact, faults_of_group, faults_of_policy, faults_of_template

TOKEN: Final = "glsa_a-token-of-a-service-account"
Answer = tuple[int, Any]


@dataclass
class Standin:
    """What it holds, and what was asked of it."""

    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    groups: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=lambda: {"receiver": "grafana-default-email", "routes": []})
    written: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    """Status by the beginning of a path."""
    version: int = 13
    provisioned: set[str] = field(default_factory=set)
    """Uids of what came from files."""
    address: str = ""

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """Give status and JSON."""
        failure = next((status for start, status in self.failing.items() if path.startswith(start)), None)
        if failure:
            return failure, {"message": "something went wrong: T0PSECRET"}
        if method != "GET" and any(uid in path or uid in json.dumps(body) for uid in self.provisioned):
            return 400, {"message": "Cannot save provisioned dashboard"}
        if method != "GET":
            self.written.append(f"{method} {path}")
        parts = path.strip("/").split("/")[1:]
        for length in (4, 3, 2, 1):
            route = _ROUTES.get((method, "/".join(parts[:length])))
            if route:
                return route(self, parts[length:], body)
        return 404, {"message": "Not found"}


def _known(held: dict[str, dict[str, Any]], rest: list[str]) -> Answer:
    found = held.get(rest[0])
    return (200, found) if found else (404, {"message": "not found"})


def _get_folder(grafana: Standin, rest: list[str], _body: Any) -> Answer:
    return _known(grafana.folders, rest)


def _new_folder(grafana: Standin, _rest: list[str], body: Any) -> Answer:
    if any(folder["title"] == body["title"] for uid, folder in grafana.folders.items() if uid != body["uid"]):
        return 412, {"message": "a folder with the same name already exists in the current location"}
    if body["uid"] in grafana.folders:
        return 409, {"message": "a folder with the same uid already exists"}
    grafana.folders[body["uid"]] = {**body, "id": len(grafana.folders) + 1, "version": 1, "url": f"/dashboards/f/{body['uid']}"}
    return 200, grafana.folders[body["uid"]]


def _put_folder(grafana: Standin, rest: list[str], body: Any) -> Answer:
    status, found = _known(grafana.folders, rest)
    if status == 200:
        found |= {"title": body["title"], "version": found["version"] + 1}
    return status, found


def _get_source(grafana: Standin, rest: list[str], _body: Any) -> Answer:
    return _known(grafana.sources, rest)


def _keep_source(grafana: Standin, body: Any) -> Answer:
    grafana.secrets[body["uid"]] = body.pop("secureJsonData", {})
    fields = dict.fromkeys(grafana.secrets[body["uid"]], True)
    held = grafana.sources[body["uid"]] = {**body, "id": 7, "orgId": 1, "isDefault": False, "secureJsonFields": fields, "version": 1}
    return 200, {"datasource": held, "id": 7, "message": "Datasource added", "name": body["name"]}


def _new_source(grafana: Standin, _rest: list[str], body: Any) -> Answer:
    if any(source["name"] == body["name"] for uid, source in grafana.sources.items() if uid != body["uid"]):
        return 409, {"message": "data source with the same name already exists"}
    return (
        (409, {"message": "data source with the same uid already exists"})
        if body["uid"] in grafana.sources
        else _keep_source(grafana, body)
    )


def _put_source(grafana: Standin, rest: list[str], body: Any) -> Answer:
    if grafana.sources.get(rest[0], {}).get("readOnly"):
        return 403, {"message": "Cannot update read-only data source"}
    return _keep_source(grafana, body) if rest[0] in grafana.sources else (404, {"message": "Data source not found"})


def _get_dashboard(grafana: Standin, rest: list[str], _body: Any) -> Answer:
    status, found = _known(grafana.dashboards, rest)
    return (200, {"dashboard": found, "meta": {"folderUid": grafana.places[rest[0]]}}) if status == 200 else (status, found)


def _new_dashboard(grafana: Standin, _rest: list[str], body: Any) -> Answer:
    uid, held = body["dashboard"]["uid"], grafana.dashboards
    if body["folderUid"] not in grafana.folders:
        return 400, {"message": "folder not found"}
    if uid in held and not body.get("overwrite"):
        return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
    held[uid] = {**body["dashboard"], "id": 40 + len(held), "version": held.get(uid, {}).get("version", 0) + 1, "weekStart": ""}
    grafana.places[uid] = body["folderUid"]
    return 200, {"uid": uid, "status": "success", "version": held[uid]["version"]}


def _get_group(grafana: Standin, rest: list[str], _body: Any) -> Answer:
    found = grafana.groups.get((rest[0], rest[2]))
    return (200, found) if found else (404, {"message": "rule group not found"})


def _refused(faults: Iterator[str]) -> Answer | None:
    found = list(faults)
    return (400, {"message": f"invalid: {'; '.join(found)}"}) if found else None


def _put_group(grafana: Standin, rest: list[str], body: Any) -> Answer:
    if rest[0] not in grafana.folders:
        return 404, {"message": "folder does not exist"}
    if refused := _refused(faults_of_group(body, rest[0], rest[2])):
        return refused
    added = {"orgID": 1, "updated": "2026-11-20T12:00:00Z", "provenance": ""}
    rules = [{**rule, "id": number, **added} for number, rule in enumerate(body["rules"])]
    if grafana.version < 12:
        for rule in rules:
            rule.pop("keep_firing_for", None)
    grafana.groups[rest[0], rest[2]] = {**body, "rules": rules}
    return 200, grafana.groups[rest[0], rest[2]]


def _new_contact(grafana: Standin, _rest: list[str], body: Any) -> Answer:
    if body["uid"] in grafana.contacts:
        return 400, {"message": "contact point with this uid already exists"}
    if refused := _refused(faults_of_contact(body)):
        return refused
    grafana.contacts[body["uid"]] = {**body, "provenance": ""}
    return 202, grafana.contacts[body["uid"]]


def _put_contact(grafana: Standin, rest: list[str], body: Any) -> Answer:
    if rest[0] not in grafana.contacts:
        return 404, {"message": "contact point not found"}
    if refused := _refused(faults_of_contact(body)):
        return refused
    grafana.contacts[rest[0]] = {**body, "provenance": ""}
    return 202, {"message": "contactpoint updated"}


def _put_template(grafana: Standin, rest: list[str], body: Any) -> Answer:
    if refused := _refused(faults_of_template(rest[0], body)):
        return refused
    grafana.templates[rest[0]] = {"name": rest[0], "template": body["template"], "provenance": "", "version": "5d41402a"}
    return 202, grafana.templates[rest[0]]


def _put_policy(grafana: Standin, _rest: list[str], body: Any) -> Answer:
    known = {contact["name"] for contact in grafana.contacts.values()} | {"grafana-default-email", "somebody else"}
    if refused := _refused(faults_of_policy(body, known)):
        return refused
    grafana.policy = body
    return 202, {"message": "policies updated"}


_ROUTES: Final[dict[tuple[str, str], Callable[[Standin, list[str], Any], Answer]]] = {
    ("GET", "folders"): _get_folder,
    ("POST", "folders"): _new_folder,
    ("PUT", "folders"): _put_folder,
    ("GET", "datasources/uid"): _get_source,
    ("POST", "datasources"): _new_source,
    ("PUT", "datasources/uid"): _put_source,
    ("GET", "dashboards/uid"): _get_dashboard,
    ("POST", "dashboards/db"): _new_dashboard,
    ("GET", "v1/provisioning/folder"): _get_group,
    ("PUT", "v1/provisioning/folder"): _put_group,
    ("GET", "v1/provisioning/contact-points"): lambda grafana, _rest, _body: (200, list(grafana.contacts.values())),
    ("POST", "v1/provisioning/contact-points"): _new_contact,
    ("PUT", "v1/provisioning/contact-points"): _put_contact,
    ("GET", "v1/provisioning/templates"): lambda grafana, rest, _body: _known(grafana.templates, rest),
    ("PUT", "v1/provisioning/templates"): _put_template,
    ("GET", "v1/provisioning/policies"): lambda grafana, _rest, _body: (200, grafana.policy),
    ("PUT", "v1/provisioning/policies"): _put_policy,
}


@contextmanager
def serve() -> Iterator[Standin]:
    """Serve one on a free port of this machine."""
    grafana = Standin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api/health":
                status, answer = 200, {"database": "ok", "version": f"{grafana.version}.0.1", "commit": "abcdef"}
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer = 401, {"message": "Invalid API key"}
            else:
                status, answer = grafana.answer(self.command, self.path.partition("?")[0], json.loads(sent) if sent else None)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_GET  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    grafana.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
