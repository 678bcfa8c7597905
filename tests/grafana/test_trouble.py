"""What a tired person reads when Grafana refuses or cannot be reached: what is wrong, where, what to do; never a traceback or a secret."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from llmtower_dashboards.grafana.client import HttpGrafana
from llmtower_dashboards.grafana.errors import GrafanaError
from llmtower_dashboards.grafana.push import push
from llmtower_dashboards.grafana.resources import resources
from tests.grafana.test_push import ALERTING, READER, run
from tests.standins.grafana import TOKEN, Standin


class Other(BaseHTTPRequestHandler):
    """Something that is no Grafana, but for /ok. The first part of a path says the status."""

    def do_GET(self) -> None:
        first = self.path.split("/")[1]
        text = b'{"database": "ok"}' if first == "ok" else b"<html>Welcome to nginx!</html>"
        self.send_response(int(first) if first.isdecimal() else 200)
        if first == "302":
            self.send_header("Location", self.path)
        self.send_header("Content-Type", "application/json" if first == "ok" else "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """A client that hangs up is what is tested."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(authority: trustme.CA | None = None) -> Iterator[int]:
    server = Quiet(("127.0.0.1", 0), Other)
    if authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def greeted(url: str) -> str:
    with pytest.raises(GrafanaError) as caught:
        HttpGrafana(url, TOKEN).greet()
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nginx", "is no Grafana: a proxy or a login page before it?"),
        ("404", "is no Grafana: a proxy or a login page before it?"),
        ("401", "is no Grafana: a proxy or a login page before it?"),
        ("302", "it sends from one address to another: is a login page before it?"),
        ("502", "HTTP 502. Grafana is not ready, or a proxy before it cannot reach it: try again in a minute"),
    ],
)
def test_what_is_no_grafana_is_said_before_anything_is_asked(path: str, sentence: str) -> None:
    with serving() as port:
        said = greeted(f"http://user:s3cret@127.0.0.1:{port}/{path}/")
        assert sentence in said
        assert f"http://127.0.0.1:{port}/{path}" in said
        assert "s3cret" not in said


def test_without_tls_where_it_is_wanted_and_the_other_way_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    with serving() as plain:
        assert "it speaks no TLS: write http:// in place of https://." in greeted(f"https://127.0.0.1:{plain}")
    with serving(authority) as secured:
        assert "it hangs up: does it want https://?" in greeted(f"http://127.0.0.1:{secured}")
        said = greeted(f"https://127.0.0.1:{secured}")
        assert "its certificate is not trusted here: name the file of its authority in REQUESTS_CA_BUNDLE." in said
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        HttpGrafana(f"https://127.0.0.1:{secured}/ok", TOKEN).greet()
        HttpGrafana(f"https://127.0.0.1:{secured}/ok/", TOKEN).greet()


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    assert "(LLMTOWER_GRAFANA__URL) cannot be reached: its name is not known here." in greeted("http://grafana.invalid:3000")


def test_a_grafana_that_is_too_old_is_told_so_and_left_alone(grafana: Standin) -> None:
    grafana.version = 9
    done = run(grafana, "push")
    assert (done.returncode, grafana.written) == (1, [])
    assert f"Grafana at {grafana.address} is 9.0.1; the dashboards need 11 or newer: upgrade it." in done.stderr


def test_namesakes_under_another_uid_are_named(grafana: Standin) -> None:
    edge, wanted = HttpGrafana(grafana.address, TOKEN), resources(READER)
    grafana.folders["mine"] = {"uid": "mine", "title": "Llmtower", "version": 1}
    with pytest.raises(GrafanaError, match=r"HTTP 412\. Another folder named Llmtower is there, under another uid: rename it or") as folder:
        push(edge, wanted)
    assert "Grafana says: a folder with the same name already exists" in str(folder.value)
    grafana.folders.clear()
    grafana.sources["mine"] = {"uid": "mine", "name": "Llmtower"}
    with pytest.raises(GrafanaError, match=r"HTTP 409\. Another data source named Llmtower is there, under another uid: rename it in"):
        push(edge, wanted)


def test_what_came_from_files_is_said_to(grafana: Standin) -> None:
    edge, wanted = HttpGrafana(grafana.address, TOKEN), resources(READER)
    push(edge, wanted)
    grafana.dashboards["llmtower-cost"]["title"] = "of another version"
    grafana.provisioned.add("llmtower-cost")
    with pytest.raises(GrafanaError, match=r"dashboard llmtower-cost .* HTTP 400\. It comes from provisioning files, and those win: "):
        push(edge, wanted)


def test_rules_are_pushed_beside_what_docker_compose_provisions(grafana: Standin) -> None:
    """Data source and dashboards come from files there; none of it is written, and the files' own password stays."""
    edge = HttpGrafana(grafana.address, TOKEN)
    push(edge, resources(READER))
    grafana.sources["llmtower-clickhouse"]["readOnly"] = True
    grafana.written.clear()
    push(edge, resources(READER, ALERTING))
    assert grafana.written
    assert all(" /api/v1/provisioning/" in path for path in grafana.written)
    other = replace(READER, host="elsewhere")
    with pytest.raises(GrafanaError, match=r"The data source llmtower-clickhouse .* HTTP 403\. It comes from provisioning files"):
        push(edge, resources(other))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "This Grafana does not know that address: is LLMTOWER_GRAFANA__URL its root"),
        (429, "Grafana has had too many requests: try again in a minute."),
        (503, "Grafana is not ready, or a proxy before it cannot reach it: try again in a minute; what is done stays done."),
        (507, "Grafana itself failed, and its own log says why;"),
        (418, "Grafana's own log says more."),
    ],
)
def test_every_status_has_a_sentence(grafana: Standin, status: int, sentence: str) -> None:
    grafana.failing["/api/v1/provisioning/policies"] = status
    policy = [one for one in ALERTING if one.kind == "notification policy"]
    with pytest.raises(GrafanaError) as caught:
        push(HttpGrafana(grafana.address, TOKEN), policy)
    assert f"HTTP {status}. {sentence}" in str(caught.value)
    assert "T0PSECRET" not in str(caught.value)
