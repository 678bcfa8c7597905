"""Edge: any endpoint that speaks OpenAI's chat completions, through the real client, which whoever makes it has wrapped."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import openai

from llmtower_processors.judge.model import Reason, Reply
from llmtower_processors.pricing import PriceBook
from llmtower_schemas.events import ResponseEvent, Usage

log = logging.getLogger(__name__)

_FORMS: Final = ("json_schema", "json_object", "plain")
"""How an endpoint is asked for JSON, from the strictest on; one that refuses a form is asked in the next from then on."""
_REASONS: Final[Sequence[tuple[type[Exception], Reason]]] = (
    (openai.APITimeoutError, "timeout"),
    (openai.APIConnectionError, "network"),
    (openai.RateLimitError, "rate_limit"),
    (openai.AuthenticationError, "auth"),
    (openai.PermissionDeniedError, "auth"),
    (openai.BadRequestError, "invalid_request"),
    (openai.UnprocessableEntityError, "invalid_request"),
    (openai.NotFoundError, "invalid_request"),
    (openai.OpenAIError, "server"),
)
_NIL: Final = "00000000-0000-0000-0000-000000000000"


class OpenAIEndpoint:
    """Asks a model; `provider` and `model` name it to the price book."""

    def __init__(self, client: openai.AsyncOpenAI, *, model: str, provider: str, prices: PriceBook, most_output_tokens: int) -> None:
        self._client, self._model, self._provider, self._prices = client, model, provider, prices
        self._most_output = most_output_tokens
        self._form = 0

    async def ask(self, messages: Sequence[dict[str, str]], form: dict[str, Any]) -> Reply:
        """Ask once, in the strictest form that the endpoint has not refused."""
        most = self.most(sum(len(message["content"].encode()) for message in messages)) or 0
        while True:
            at = self._form
            try:
                answer = await self._client.chat.completions.create(**self._request(messages, form, at))
            except (openai.OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON
                reason: Reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "server")
                if reason == "invalid_request" and getattr(error, "code", None) == "content_filter":
                    return Reply(reason="content_filter")
                if reason == "invalid_request" and at + 1 < len(_FORMS):
                    self._form = max(self._form, at + 1)
                    log.warning("the judge's endpoint refuses %s; asking for %s from now on", _FORMS[at], _FORMS[at + 1])
                    continue
                # Whether a request that timed out is billed is not known: it counts in full.
                return Reply(reason=reason, cost=most if reason in ("timeout", "network") else 0)
            return self._read(answer, most)

    def most(self, input_tokens: int) -> int | None:
        """Price the longest input and the longest output."""
        return self._price({"prompt_tokens": input_tokens, "completion_tokens": self._most_output})

    def _request(self, messages: Sequence[dict[str, str]], form: dict[str, Any], at: int) -> dict[str, Any]:
        shape = {"json_schema": form, "json_object": {"type": "json_object"}}.get(_FORMS[at])
        limit = "max_completion_tokens" if at == 0 else "max_tokens"
        request: dict[str, Any] = {"model": self._model, "messages": list(messages), limit: self._most_output}
        return request if shape is None else request | {"response_format": shape}

    def _read(self, answer: Any, most: int) -> Reply:
        """An endpoint that does not say what was used is believed to have used the most."""
        usage = getattr(answer, "usage", None)
        cost = self._price(usage.model_dump()) if usage is not None else None
        try:
            choice = answer.choices[0]
            text = choice.message.content or ""
        except (AttributeError, IndexError, TypeError):
            return Reply(cost=most if cost is None else cost)
        reason: Reason = "content_filter" if choice.finish_reason == "content_filter" else ""
        return Reply(text, reason, most if cost is None else cost)

    def _price(self, usage: Mapping[str, Any]) -> int | None:
        """By the worker's own prices; without the details of caches, which only make it cheaper."""
        try:
            counts = Usage(input_tokens=int(usage["prompt_tokens"]), output_tokens=int(usage["completion_tokens"]))
        except (KeyError, TypeError, ValueError):
            return None
        call = ResponseEvent(
            app="",
            call_id=_NIL,
            provider=self._provider,
            request_model=self._model,
            started_at_ns=time.time_ns(),
            duration_us=0,
            usage=counts,
            usage_source="provider",
        )
        return self._prices.price(call).total
