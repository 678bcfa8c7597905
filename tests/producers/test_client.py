"""Configuration: from arguments and the environment; whatever is wrong is said in one sentence, and the host goes on."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmtower
from llmtower import errors, state
from llmtower.errors import internal_error
from llmtower.testing import CapturedCalls, MemoryTransport, capture


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("LLMTOWER")]:
        monkeypatch.delenv(name)
    yield
    llmtower.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "llmtower"]


def test_everything_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "APP": "shop",
        "PROJECT": "p",
        "ENVIRONMENT": "staging",
        "RELEASE": "1.2",
        "CAPTURE": "hash",
        "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "SDK__SPOOL_DIR": str(tmp_path),
        "SDK__QUEUE_EVENTS": "7",
    }.items():
        monkeypatch.setenv(f"LLMTOWER_{name}", value)
    llmtower.configure()

    assert state.client is not None
    options = state.client.options
    assert dict(options.policy.head) == {"project": "p", "app": "shop", "environment": "staging", "release": "1.2"}
    assert (options.policy.capture, options.queue_events) == ("hash", 7)
    assert options.spool_dir is not None
    assert options.spool_dir.parent == tmp_path


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_APP", "from the environment")
    with capture(app="from the call") as captured:
        with llmtower.call(model="m"):
            pass
        assert captured[0]["app"] == "from the call"


def test_the_capture_mode_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmtower")
    with capture(capture="hash"):
        pass

    assert said(caplog) == ["llmtower records app 'test'; content capture is 'hash'."]


def test_without_a_broker_the_setting_is_named(caplog: pytest.LogCaptureFixture) -> None:
    llmtower.configure(app="a")
    for _ in range(3):
        with llmtower.call(model="m") as call:
            call.finish(output="x")

    assert len(said(caplog)) == 1
    assert "LLMTOWER_KAFKA__BOOTSTRAP_SERVERS" in said(caplog)[0]


def test_without_configure_one_warning_says_what_to_do(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmtower.errors import forget_warnings

    forget_warnings()
    monkeypatch.setattr(state, "silent", False)
    for _ in range(3):
        with llmtower.call(model="m") as call, llmtower.step("s", kind="tool"):
            call.first_token()
            call.finish(output="x")
            assert len(call.id) == 36
        llmtower.record({"type": "deploy", "version": "1"})

    assert len(said(caplog)) == 1
    assert "LLMTOWER_APP and LLMTOWER_KAFKA__BOOTSTRAP_SERVERS" in said(caplog)[0]
    assert llmtower.flush().complete


def test_unknown_names_are_said_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("LLMTOWER_CAPTRUE", "off")
    with capture():
        pass

    assert said(caplog) == ["llmtower: LLMTOWER_CAPTRUE is no setting; did you mean LLMTOWER_CAPTURE?"]


def test_wrong_values_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("LLMTOWER_SDK__QUEUE_EVENTS", "s3cret")
    llmtower.configure(app="a", bootstrap_servers="127.0.0.1:9", capture="everything")
    with llmtower.call(model="m"):
        pass

    (sentence,) = said(caplog)
    assert "LLMTOWER_SDK__QUEUE_EVENTS" in sentence
    assert "LLMTOWER_CAPTURE" in sentence
    assert "s3cret" not in sentence


def test_a_missing_certificate_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMTOWER_KAFKA__SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("LLMTOWER_KAFKA__SSL_CA_FILE", str(tmp_path / "missing.pem"))
    llmtower.configure(app="a", bootstrap_servers="127.0.0.1:9")

    assert "LLMTOWER_KAFKA__SSL_" in said(caplog)[0]
    assert state.client is None


def test_configuring_the_same_again_changes_nothing() -> None:
    transport = MemoryTransport()
    llmtower.configure(app="a", transport=transport)
    first = llmtower.stats().producer
    llmtower.configure(app="a", transport=transport)
    assert llmtower.stats().producer == first

    llmtower.configure(app="b", transport=transport)
    assert llmtower.stats().producer != first
    assert sum(thread.name == "llmtower" for thread in threading.enumerate()) == 1


def test_a_spool_that_cannot_be_used_is_said_and_does_no_harm(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with capture(spool_dir=tmp_path / "file") as captured:
        with llmtower.call(model="m"):
            pass
        assert len(captured) == 1

    assert "LLMTOWER_SDK__SPOOL_DIR" in " ".join(said(caplog))


def test_apps_do_not_share_a_spool(tmp_path: Path) -> None:
    from llmtower.client import spool_folder
    from llmtower_schemas.settings import SdkSettings, Settings

    sdk = SdkSettings(spool_dir=tmp_path)
    folders = {spool_folder(Settings(app=app, environment=env, sdk=sdk)) for app in ("a/b", "a b", "../a", "") for env in ("x", "y")}

    assert len(folders) == 8
    assert {folder.parent for folder in folders if folder} == {tmp_path}


def test_the_fixture_starts_empty(captured_calls: CapturedCalls) -> None:
    assert len(captured_calls) == 0
    with llmtower.call(model="m"):
        pass
    assert [call["request_model"] for call in captured_calls] == ["m"]
    captured_calls.clear()
    assert captured_calls.events() == []


def test_close_keeps_the_last_books() -> None:
    with capture(), llmtower.call(model="m"):
        pass

    stats = llmtower.stats()
    assert (stats.emitted, stats.delivered, stats.connected) == (2, 2, False)
    llmtower.close()
    assert llmtower.stats() == stats


def test_faults_of_ours_are_raised_under_pytest_only(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fault() -> None:
        try:
            raise KeyError("secret")
        except KeyError:
            internal_error("a test")

    with pytest.raises(KeyError):
        fault()
    monkeypatch.delenv("PYTEST_VERSION")
    fault()
    fault()
    assert len(said(caplog)) == 1


def test_a_broken_sdk_does_not_reach_the_host(monkeypatch: pytest.MonkeyPatch, captured_calls: CapturedCalls) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.delenv("PYTEST_VERSION")
    for target in ("llmtower.calls.frozen", "llmtower.steps.snapshot", "llmtower.scope.label", "llmtower.recording.record"):
        monkeypatch.setattr(target, broken)
    with llmtower.context(user_id="u"), llmtower.step("s", kind="tool", input="x") as step, llmtower.call(model="m", input="x") as call:
        call.finish(output="x")
        step.finish(output="x")
    llmtower.record({"type": "deploy", "version": "1"})


def test_feedback_names_one_target_and_fits_the_contract(caplog: pytest.LogCaptureFixture) -> None:
    with capture(app="shop") as captured:
        with llmtower.call(model="m") as call:
            call.finish(output="x")
        llmtower.feedback(call.id, score=-1, comment="wrong order", user_id="u-17")
        llmtower.feedback(response_id="chatcmpl-1", name="stars", score=0.8, correction="The red one.")
        llmtower.feedback(trace_id="t-1", label="good")
        llmtower.feedback(score=1)
        llmtower.feedback(call.id, trace_id="t-1", score=1)
        llmtower.feedback(call.id, score=3)
        found = captured.events("feedback")
    assert [(one["target_kind"], one["target_id"], one["name"]) for one in found] == [
        ("call_id", call.id, "thumbs"),
        ("response_id", "chatcmpl-1", "stars"),
        ("trace_id", "t-1", "thumbs"),
    ]
    assert (found[0]["score"], found[0]["comment"], found[0]["user_id"], found[0]["app"]) == (-1, "wrong order", "u-17", "shop")
    assert llmtower.stats().dropped == 3
    assert any("one of call_id, response_id and trace_id" in sentence for sentence in said(caplog))


def test_a_score_names_one_target_and_fits_the_contract(caplog: pytest.LogCaptureFixture) -> None:
    with capture(app="shop") as captured:
        llmtower.score("0199", name="helpful", value=0.9, scorer="our-eval", scorer_version="3")
        llmtower.score(response_id="chatcmpl-1", name="tone", label="curt", reason="two words", weight=4)
        llmtower.score(trace_id="t-1", name="solved", value=1)
        llmtower.score(name="helpful", value=1)
        llmtower.score("0199", response_id="chatcmpl-1", name="helpful", value=1)
        llmtower.score("0199", name="helpful", value=float("nan"), weight=-1)
        found = captured.events("score")
    assert [(one["target_kind"], one["target_id"], one["name"]) for one in found] == [
        ("call_id", "0199", "helpful"),
        ("response_id", "chatcmpl-1", "tone"),
        ("trace_id", "t-1", "solved"),
    ]
    assert (found[0]["value"], found[0]["scorer"], found[0]["scorer_version"], found[0]["app"]) == (0.9, "our-eval", "3", "shop")
    assert (found[1]["label"], found[1]["reason"], found[1]["weight"]) == ("curt", "two words", 4)
    assert llmtower.stats().dropped == 3
    assert any("llmtower.score: give one of call_id, response_id and trace_id" in sentence for sentence in said(caplog))


UVICORN = """
import sys, llmtower, uvicorn
llmtower.configure(app="web", bootstrap_servers="127.0.0.1:9", spool_dir=sys.argv[1])
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); await send({"type": "lifespan.startup.complete"}); print("ready", flush=True); await receive()
        await send({"type": "lifespan.shutdown.complete"})
with llmtower.call(model="m") as call: call.finish(output="x")
uvicorn.run(app, port=0, log_level="warning")
"""


def test_under_uvicorn_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    from llmtower.spool import Spool

    command = [sys.executable, "-c", UVICORN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    spool = Spool(next(tmp_path.iterdir()), run="reader", max_bytes=1 << 20)
    assert spool.adopt() == 2
    spool.close()


def test_a_signal_handler_may_warn_while_its_own_thread_is_warning() -> None:
    with errors._lock:
        errors.warn_once("inner", "said by a handler")

    assert "inner" in errors._warned
