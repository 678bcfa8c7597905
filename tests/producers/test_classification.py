"""Errors by cause."""

import asyncio
import socket
from typing import Any

import pytest

from llmtower.classification import classify


def error(name: str, bases: tuple[type[BaseException], ...] = (Exception,), **attributes: Any) -> BaseException:
    made: BaseException = type(name, bases, {})("the prompt was: secret")
    for key, value in attributes.items():
        setattr(made, key, value)
    return made


class Hostile(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError

    @property
    def status_code(self) -> int:
        raise RuntimeError


@pytest.mark.parametrize(
    ("raised", "error_class", "status"),
    [
        (error("RateLimitError", status_code=429), "rate_limit", 429),
        (error("RateLimitError", status_code=429, code="insufficient_quota"), "rate_limit", 429),
        (error("AuthenticationError", status_code=401), "auth", 401),
        (error("BadRequestError", status_code=400), "invalid_request", 400),
        (error("BadRequestError", status_code=400, code="content_filter"), "content_filter", 400),
        (error("InternalServerError", status_code=503), "server", 503),
        (error("APITimeoutError", (error("APIConnectionError").__class__,)), "timeout", None),
        (error("APIConnectionError"), "network", None),
        (TimeoutError(), "timeout", None),
        (asyncio.CancelledError(), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
        (KeyboardInterrupt(), "cancelled", None),
        (ConnectionResetError(), "network", None),
        (socket.gaierror(), "network", None),
        (ValueError("x"), "other", None),
        (Hostile(), "other", None),
    ],
)
def test_errors_are_classified(raised: BaseException, error_class: str, status: int | None) -> None:
    failure = classify(raised)

    assert (failure.error_class, failure.http_status) == (error_class, status)
    assert "secret" not in failure.error_type


def test_the_providers_code_is_the_type() -> None:
    assert classify(error("RateLimitError", status_code=429, code="insufficient_quota")).error_type == "insufficient_quota"
