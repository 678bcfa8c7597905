"""The application under watch: FastAPI routes whose LLM calls go through the real `openai` client, wrapped by `llmtower.wrap_openai`.

Four such apps run in the demo, each in its own process (see `apps.py`). What a user would write is all here; nothing knows Kafka.
"""

import random
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import openai
from fastapi import FastAPI, Response
from pydantic import BaseModel

import llmtower
from llmtower_schemas.events import DeployEvent, FeedbackEvent

from .identity import new_id, now_ns
from .scenario import EMBEDDING_MODEL, UPGRADE_PROMPT_VERSION, UPGRADE_RELEASE, UPGRADE_TO, AppProfile, pick_model
from .texts import SYSTEM_PROMPTS, Document, retrieve, with_context

CLIENT_TIMEOUT_S = 8.0
CLIENT_RETRIES = 1
MAX_OUTPUT_TOKENS = 400
CALL_ID_HEADER = "X-Client-Request-Id"
"""OpenAI's own header for a caller's id; the same on every retry of a call, so the provider can count calls."""


class Question(BaseModel):
    """What a user sends."""

    text: str
    user_id: str
    session_id: str
    request_id: str
    stream: bool = False


class Answer(BaseModel):
    """What the user gets."""

    text: str
    response_id: str
    model: str


class Opinion(BaseModel):
    """A thumb up (1) or down (-1) for an answer."""

    response_id: str
    user_id: str
    score: float


class Deployment(BaseModel):
    """Which version of the app is live; the upgraded one uses a newer prompt and a dearer model."""

    upgraded: bool


class Desk:
    """One application: its clients, the version that is live, and its own books."""

    def __init__(self, profile: AppProfile, *, base_url: str, seed: int) -> None:
        self.profile = profile
        self.upgraded = False
        self.calls = 0
        """Calls of any model this app has made, by its own count."""
        self.unanswered = 0
        """Those of them that ended without any answer: time-outs and lost connections, which the provider may never have seen."""
        self.others = 0
        """Steps, feedback and deploys it has recorded."""
        self._chance = random.Random(f"{seed}/{profile.name}")  # noqa: S311  (a script, no secret)
        self._lock = threading.Lock()
        self._options: dict[str, Any] = {
            "base_url": f"{base_url}/v1",
            "api_key": f"demo-{profile.name}",
            "timeout": CLIENT_TIMEOUT_S,
            "max_retries": CLIENT_RETRIES,
        }

    @cached_property
    def client(self) -> openai.OpenAI:
        """The synchronous client, wrapped."""
        return llmtower.wrap_openai(openai.OpenAI(**self._options))

    @cached_property
    def async_client(self) -> openai.AsyncOpenAI:
        """The asynchronous client, wrapped."""
        return llmtower.wrap_openai(openai.AsyncOpenAI(**self._options))

    @property
    def prompt(self) -> tuple[str, str]:
        """Name and version of the instructions in use."""
        return self.profile.prompt_name, UPGRADE_PROMPT_VERSION if self.upgraded else self.profile.prompt_version

    def context(self, question: Question) -> Any:
        """Say on whose behalf the calls inside are made."""
        name, version = self.prompt
        return llmtower.context(
            user_id=question.user_id,
            session_id=question.session_id,
            request_id=question.request_id,
            route=self.profile.route,
            tags={"release_track": "canary" if self.upgraded else "stable"},
            prompt=(name, version),
        )

    def request(self, question: Question, documents: Sequence[Document]) -> dict[str, Any]:
        """Give the arguments of the chat completion."""
        content = with_context(question.text, documents) if documents else question.text
        request: dict[str, Any] = {
            "model": UPGRADE_TO if self.upgraded else pick_model(self.profile, self._chance),
            "messages": [{"role": "system", "content": SYSTEM_PROMPTS[self.prompt]}, {"role": "user", "content": content}],
            "max_completion_tokens": MAX_OUTPUT_TOKENS,
            "extra_headers": {CALL_ID_HEADER: new_id()},
        }
        if question.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    async def find(self, question: Question) -> tuple[Document, ...]:
        """Retrieve documents for a question, with an embedding where the app uses one."""
        if not self.profile.retrieves:
            return ()
        self.others += 1
        with llmtower.step("find documents", kind="retrieval", input=question.text) as step:
            if self.profile.embeds:
                await self._embed(question.text)
            documents = retrieve(question.text, self._chance)
            step.finish(retrieved=[asdict(document) for document in documents])
            return documents

    def _count_call(self) -> None:
        """Count a call that is about to be made; threads of the web server come here at once."""
        with self._lock:
            self.calls += 1

    async def _embed(self, text: str) -> list[float]:
        """Embed a text; the wrapper records it like any other call."""
        self._count_call()
        reply = await self.async_client.embeddings.create(
            model=EMBEDDING_MODEL, input=text, encoding_format="float", extra_headers={CALL_ID_HEADER: new_id()}
        )
        return reply.data[0].embedding

    async def answer(self, question: Question) -> Answer:
        """Answer with the asynchronous client, in a step around retrieval and call: so the call carries what was found for it."""
        self.others += 1
        with self.context(question), llmtower.step("answer", kind="workflow"):
            request = self.request(question, await self.find(question))
            self._count_call()
            reply = await self.async_client.chat.completions.create(**request)
            if not question.stream:
                return _whole(reply)
            return _joined([chunk async for chunk in reply])

    def answer_blocking(self, question: Question) -> Answer:
        """Answer with the synchronous client, in a thread of the web server."""
        with self.context(question):
            self._count_call()
            reply = self.client.chat.completions.create(**self.request(question, ()))
            return _joined(reply) if question.stream else _whole(reply)


@dataclass(frozen=True)
class Thumbs:
    """Where an app's page sends what its readers think: the gateway's address, and a key of the scope `feedback`."""

    gateway: str
    key: str


def create_app(desk: Desk, thumbs: Thumbs | None = None) -> FastAPI:
    """Give the web application of one desk; with `thumbs` its page lets readers rate answers."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if desk.profile.sync:
            desk.client.close()
        else:
            await desk.async_client.close()

    app = FastAPI(title=desk.profile.name, lifespan=lifespan)

    @app.exception_handler(openai.OpenAIError)
    async def failed(_: Any, error: openai.OpenAIError) -> Response:
        desk.unanswered += isinstance(error, openai.APIConnectionError)
        return Response(type(error).__name__, status_code=502)

    async def ask(question: Question) -> Answer:
        return await desk.answer(question)

    def ask_blocking(question: Question) -> Answer:
        return desk.answer_blocking(question)

    app.post(desk.profile.route)(ask_blocking if desk.profile.sync else ask)

    @app.get("/")
    async def page() -> Response:
        return Response(chat_page(desk.profile, thumbs), media_type="text/html")

    @app.post("/feedback")
    async def rate(opinion: Opinion) -> None:
        desk.others += 1
        llmtower.record(_feedback(desk.profile, opinion))

    @app.put("/deployment")
    async def deploy(deployment: Deployment) -> None:
        if deployment.upgraded != desk.upgraded:
            desk.upgraded = deployment.upgraded
            desk.others += 1
            llmtower.record(_deploy(desk.profile, UPGRADE_RELEASE if desk.upgraded else desk.profile.release))

    return app


def chat_page(profile: AppProfile, thumbs: Thumbs | None) -> str:
    """A page to ask on. What an application has to do for thumbs: one script, and for each answer its id."""
    script = f'<script src="{thumbs.gateway}/thumbs.js" data-key="{thumbs.key}" data-app="{profile.name}" defer></script>' if thumbs else ""
    return _PAGE.replace("APP", profile.name).replace("ROUTE", profile.route).replace("THUMBS", script)


_PAGE = """<!doctype html>
<meta charset="utf-8"><title>APP</title>THUMBS
<form><input name="text" aria-label="Question"><button>Ask</button></form><main></main>
<script>
document.forms[0].onsubmit = async (event) => {
  event.preventDefault()
  const question = {text: event.target.text.value, user_id: "web", session_id: "web", request_id: "web"}
  const reply = await fetch("ROUTE", {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(question)})
  const answer = await reply.json(), shown = document.createElement("p")
  shown.textContent = answer.text
  shown.dataset.llmtower = "response_id"
  shown.dataset.id = answer.response_id
  document.querySelector("main").append(shown)
}
</script>
"""


def _feedback(profile: AppProfile, opinion: Opinion) -> FeedbackEvent:
    return FeedbackEvent(
        app=profile.name,
        feedback_id=new_id(),
        at_ns=now_ns(),
        target_kind="response_id",
        target_id=opinion.response_id,
        score=opinion.score,
        user_id=opinion.user_id,
    )


def _deploy(profile: AppProfile, version: str) -> DeployEvent:
    return DeployEvent(app=profile.name, deploy_id=new_id(), at_ns=now_ns(), version=version, note="llmtower demo")


def _whole(reply: Any) -> Answer:
    return Answer(text=reply.choices[0].message.content or "", response_id=reply.id, model=reply.model)


def _joined(chunks: Iterator[Any] | Sequence[Any]) -> Answer:
    text: list[str] = []
    response_id = model = ""
    for chunk in chunks:
        response_id, model = chunk.id, chunk.model
        text.extend(choice.delta.content or "" for choice in chunk.choices)
    return Answer(text="".join(text), response_id=response_id, model=model)
