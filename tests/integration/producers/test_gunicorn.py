"""The SDK in a real gunicorn: workers are forked, recycled after some requests and ended by SIGTERM, and no answered call is lost."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.integration.producers.records import create_topics, read, responses, until
from tests.standins.openai import openai_server

import llmtower
from llmtower_processors.local.kafka import KafkaProcess

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.integration

REQUESTS, RECYCLED_AFTER, WORKERS = 64, 20, 2
APP = """
import asyncio, json, os, urllib.request, llmtower

llmtower.configure(app="web", bootstrap_servers=os.environ["BROKER"], spool_dir=os.environ["SPOOL"])
question = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}  # without the openai client: it takes seconds to import

def complete(name):
    with llmtower.context(request_id=name), llmtower.call(provider="openai", model="gpt", input=question["messages"]) as call:
        url, sent = os.environ["STAND_IN"] + "/chat/completions", json.dumps(question).encode()
        with urllib.request.urlopen(urllib.request.Request(url, sent)) as answer:
            said = json.load(answer)
        call.finish(output=said["choices"][0]["message"], usage=said["usage"])
    return str(os.getpid()).encode()

def wsgi(environ, start):
    done = complete(environ["HTTP_X_REQUEST_ID"])
    start("200 OK", [("content-type", "text/plain")])
    return [done]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        done = await asyncio.to_thread(complete, dict(scope["headers"])[b"x-request-id"].decode())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": done})
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with KafkaProcess(tmp_path_factory.mktemp("kafka")) as node:
        asyncio.run(create_topics(node.bootstrap_servers))
        yield node.bootstrap_servers


@pytest.fixture
def stand_in() -> Iterator[str]:
    with openai_server() as (_, url):
        yield url


def ask(url: str, name: str) -> str | None:
    """Send one request, again where the connection broke before any answer; gives the worker's pid, None without an answer."""
    for _ in range(20):
        try:
            answer = httpx.get(url, headers={"x-request-id": name, "connection": "close"}, timeout=10)
        except httpx.ConnectError:
            return None
        except httpx.HTTPError:  # a worker that is being recycled had the connection
            continue
        return answer.text if answer.status_code == 200 else None
    return None


def serve(folder: Path, options: list[str], environment: dict[str, str]) -> "tuple[subprocess.Popen[bytes], str]":
    (folder / "served.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", str(WORKERS), "--max-requests", str(RECYCLED_AFTER)]
    with (folder / "gunicorn.log").open("w") as log:
        process = subprocess.Popen([*command, *options], cwd=folder, env=os.environ | environment, stderr=log)
    until(lambda: "Listening at" in (folder / "gunicorn.log").read_text(), 20)
    found = re.search(r"Listening at: (http://\S+)", (folder / "gunicorn.log").read_text())
    assert found is not None
    return process, found.group(1)


@pytest.mark.parametrize(
    "options",
    [["served:wsgi"], ["--preload", "served:wsgi"], ["--worker-class", "uvicorn.workers.UvicornWorker", "served:asgi"]],
    ids=["sync", "preload", "uvicorn"],
)
def test_nothing_is_lost_under_gunicorn(broker: str, stand_in: str, tmp_path: Path, options: list[str]) -> None:
    spool = tmp_path / "spool"
    process, url = serve(tmp_path, options, {"BROKER": broker, "SPOOL": str(spool), "STAND_IN": stand_in})
    run = options[-1] + str(len(options))
    names = [f"{run}-{number}" for number in range(REQUESTS)]
    with ThreadPoolExecutor(4) as pool, process:
        workers = list(pool.map(lambda name: ask(url, name), names))
        last = [pool.submit(ask, url, f"{run}-last-{number}") for number in range(20)]
        process.send_signal(signal.SIGTERM)
        answered = [f"{run}-last-{number}" for number, one in enumerate(last) if one.result() is not None]
        assert process.wait(30) == 0

    llmtower.configure(app="web", bootstrap_servers=broker, spool_dir=spool)
    try:
        until(lambda: not list(spool.rglob("*.spool")))
    finally:
        llmtower.close()
    stored = [response for response in responses(read(broker)) if response.request_id.startswith(f"{run}-")]
    assert None not in workers
    assert len(set(workers)) > WORKERS
    assert {*names, *answered} <= {response.request_id for response in stored}
    assert len({response.call_id for response in stored}) == len(stored)
    assert "Traceback" not in (tmp_path / "gunicorn.log").read_text()
