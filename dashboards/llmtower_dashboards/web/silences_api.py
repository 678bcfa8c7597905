"""Silences over HTTP, for scripts: `POST /api/silences` makes one, `DELETE /api/silences/<id>` ends it. Edge; behind the page's guard."""

import time
import uuid
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llmtower_dashboards.web.silencing import LASTS, NotSilencedError, Silencer
from llmtower_schemas.silences import Silence

PATH: Final = "/api/silences"
MAX_BODY: Final = 16_384
BY: Final = "api"


class Wanted(BaseModel):
    """The body of a POST."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field(min_length=1, max_length=256)
    """Name of a rule; `*` and `?` stand for any text."""
    kind: Literal["silence", "acknowledge"] = "silence"
    group: dict[str, str] = Field(default_factory=dict)
    """Values that an alert's group must have; empty = every group."""
    seconds: int | None = Field(None, gt=0, le=366 * 86_400)
    """How long from now; None = an hour, or twelve for an acknowledgement."""
    by: str = Field(BY, max_length=256)
    comment: str = Field("", max_length=2_000)

    def silence(self, now_us: int) -> Silence:
        """Make it, from now on."""
        seconds = self.seconds or LASTS[self.kind].total_seconds()
        whole = self.model_dump(exclude={"seconds"})
        return Silence(silence_id=f"api-{uuid.uuid4().hex}", starts_at_us=now_us, ends_at_us=now_us + round(seconds * 1e6), **whole)


def serve_silences(app: Any, silencer: Silencer) -> None:
    """Add both to a FastAPI application. What is wrong is answered with `{"error": <sentence>}`: 400, 404, 415 or 503."""

    async def make(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _error(415, "Send JSON, with the header Content-Type: application/json.")
        try:
            wanted = Wanted.model_validate_json(await _body(request))
        except ValidationError as error:
            return _error(400, _sentence(error))
        return await _published(silencer, wanted.silence(time.time_ns() // 1_000), 201)

    async def end(request: Request) -> Response:
        try:
            found = await silencer.find(request.path_params["silence_id"])
        except NotSilencedError as error:
            return _error(503, str(error))
        if found is None:
            return _error(404, "No silence has that id, so nothing was ended; `llmtower alerts silences` lists them.")
        if found.deleted:  # ended before: whoever asks again, its first answer lost, is told the same
            return JSONResponse(found.model_dump(mode="json"))
        return await _published(silencer, found.model_copy(update={"deleted": True}), 200)

    app.add_route(PATH, make, methods=["POST"])
    app.add_route(f"{PATH}/{{silence_id}}", end, methods=["DELETE"])


async def _published(silencer: Silencer, silence: Silence, status: int) -> Response:
    try:
        await silencer.publish(silence)
    except NotSilencedError as error:
        return _error(503, str(error))
    return JSONResponse(silence.model_dump(mode="json"), status)


async def _body(request: Request) -> bytes:
    """Give at most as much as a silence can be; more is cut off, and so no JSON."""
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > MAX_BODY:
            break
    return found[:MAX_BODY]


def _sentence(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else f"The body is no silence: {fault['msg']}"


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)
