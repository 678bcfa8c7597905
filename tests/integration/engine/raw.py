"""A bare HTTP client, so that tests see exactly what goes over the wire."""

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True)
class Response:
    """Status, headers and body as they came."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text without the trailing newline."""
        return self.body.decode().removesuffix("\n")

    @property
    def code(self) -> int:
        """ClickHouse's exception code, 0 if none."""
        return int(self.headers.get("X-ClickHouse-Exception-Code", "0"))


@dataclass(frozen=True)
class Raw:
    """Sends one request per connection; an empty user sends no credentials."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    def send(
        self,
        body: bytes | str = b"",
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        path: str = "/",
    ) -> Response:
        """Send and read everything."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        wanted = {"Accept-Encoding": "identity", **self._authorization(), **(headers or {})}
        target = f"{path}?{urlencode(params)}" if params else path
        try:
            connection.request(method, target, body.encode() if isinstance(body, str) else body, wanted)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ok(self, sql: str, **params: str) -> str:
        """Run a statement that must succeed; gives its text."""
        response = self.send(sql, params=params)
        assert response.status == 200, response.text
        return response.text

    def get(self, query: str, **params: str) -> Response:
        """Ask by GET with the query in the URL."""
        return self.send(method="GET", params={"query": query, **params})

    def _authorization(self) -> dict[str, str]:
        if not self.user:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()}
