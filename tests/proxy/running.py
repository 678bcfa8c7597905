"""LiteLLM's proxy as a process of its own, started as its page says, in front of stand-ins for a provider."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import orjson

import llmtower
import llmtower_schemas
from llmtower.spool import Spool
from llmtower_processors.local.ports import PortReservation
from tests.clients.test_pages import PAGES

KEY = "sk-of-the-shop"
AUTH = f"""
from litellm.proxy._types import UserAPIKeyAuth

async def check(request, api_key):
    assert api_key == {KEY!r}
    return UserAPIKeyAuth(api_key=api_key, user_id="owner", key_alias="shop", team_id="t", team_alias="sales")
"""
"""Stands for the proxy's own keys, which need a database."""
NOBODY = "127.0.0.1:9"


def page() -> tuple[str, dict[str, str], list[str]]:
    """Give what litellm.md tells users of the proxy: lines of config.yaml, variables, and the command."""
    text = (PAGES / "litellm.md").read_text("utf-8")
    (config,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (shell,) = re.findall(r"^```\n(export .*?)^```", text, re.DOTALL | re.MULTILINE)
    *exports, command = shell.splitlines()
    return config, dict(line.removeprefix("export ").split("=", 1) for line in exports), command.split()


@contextmanager
def proxy(folder: Path, models: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Run the proxy over these models; gives its address. What it records is in `folder / "spool"` once it was told to end."""
    config, variables, (command, *options) = page()
    served = [{"model_name": name, "litellm_params": given} for name, given in models.items()]
    own = {"model_list": served, "router_settings": {"num_retries": 0}, "general_settings": {"custom_auth": "auth.check"}}
    (folder / "config.yaml").write_text(config + "".join(f"{name}: {orjson.dumps(value).decode()}\n" for name, value in own.items()))
    (folder / "auth.py").write_text(AUTH)
    reserved = PortReservation(0, purpose="the proxy", option="--port")
    address = f"http://{reserved.address}"
    place = {"LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": NOBODY, "LLMTOWER_SDK__SPOOL_DIR": str(folder / "spool")}
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1", "LITELLM_MASTER_KEY": f"sk-{os.urandom(16).hex()}"}
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "LLMTOWER"))}
    ours["PYTHONPATH"] = os.pathsep.join(str(Path(package.__path__[0]).parent) for package in (llmtower, llmtower_schemas))
    started = [str(Path(sys.executable).with_name(command)), *options, "--host", "127.0.0.1", "--port", str(reserved.port)]
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(started, cwd=folder, env={**ours, **variables, **quiet, **place}, stdout=log, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or _answers(f"{address}/health/liveliness"), 200)
        assert process.poll() is None, (folder / "proxy.log").read_text()[-2_000:]
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait(10)
        reserved.release()


def until(holds: Callable[[], object], seconds: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def on_disk(folder: Path) -> bytes:
    """Give the bytes of the spool as they are now."""
    return b"".join(path.read_bytes() for path in (folder / "spool").rglob("*.spool"))


def recorded(folder: Path) -> list[dict[str, Any]]:
    """Read what the proxy left behind, as the next process would send it."""
    (place,) = (folder / "spool").iterdir()
    spool = Spool(place, run="reader", max_bytes=1 << 30)
    spool.adopt()
    found = [envelope for ref in spool.pending() if (envelope := spool.read(ref)) is not None]
    spool.close()
    return [orjson.loads(line) for envelope in found for line in envelope.value.split(b"\n")]
