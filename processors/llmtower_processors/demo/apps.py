"""The demo's app processes: one start, one import of everything heavy, then one fork per app (as `gunicorn --preload` does).

`python -m llmtower_processors.demo.apps` reads one JSON line from standard input (`standin`, `kafka`, `apps`, `seed`), forks the apps and
announces for each `{"app", "url"}` and, at its end, `{"app", "said"}`: its own counts and its SDK's, after a last flush.
"""

import functools
import sys
from typing import Any

import openai.resources.chat.completions.completions
import openai.resources.embeddings  # noqa: F401
import uvicorn

import llmtower
import llmtower.client
import llmtower.kafka  # (what `configure` would import in each app)

from .app import Desk, create_app
from .child import announce, fork_each, listen, on_end_of_input, read_setup
from .closing import close_books
from .scenario import APPS

GRACE_S = 12
KEEP_ALIVE_S = 75


def serve(name: str, setup: dict[str, Any]) -> None:
    """Run one app in this process until standard input closes, then flush and announce its books."""
    profile = APPS[name]
    llmtower.configure(app=name, release=profile.release, bootstrap_servers=setup["kafka"])
    desk = Desk(profile, base_url=setup["standin"], seed=int(setup["seed"]))
    server_socket = listen(0)
    config = uvicorn.Config(
        create_app(desk), log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_S, timeout_keep_alive=KEEP_ALIVE_S
    )
    server = uvicorn.Server(config)
    on_end_of_input(functools.partial(setattr, server, "should_exit", True))
    announce({"app": name, "url": f"http://127.0.0.1:{server_socket.getsockname()[1]}"})
    server.run([server_socket])
    announce({"app": name, "said": close_books(app=name, kind="live", calls=desk.calls, others=desk.others, unanswered=desk.unanswered)})


def main() -> int:
    """Fork the apps and wait for all of them; the exit status is 1 when one failed."""
    setup = read_setup()
    return fork_each(setup["apps"], functools.partial(serve, setup=setup)) if setup else 0


if __name__ == "__main__":
    sys.exit(main())
