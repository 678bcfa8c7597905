"""Prompts in an application: pushed by the registry, kept on the disk, there with everything down; rendered strictly."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import llmtower
from llmtower import library, prompts
from llmtower.errors import forget_warnings
from llmtower.library import Library
from llmtower.prompt_cache import PromptCache
from llmtower.prompts import _moving
from llmtower.rendering import LoadedPrompt, PromptUnusableError, checked
from llmtower.testing import CapturedCalls
from llmtower_schemas.chains import Entry, RegistryRecord, entry_key
from llmtower_schemas.keys import PREFIX as KEY
from llmtower_schemas.keys import encode_key, make_key
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Message, Prompt, Variable, decode_move, encode_prompt
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

NAME = "support/answer"


@pytest.fixture
def topic() -> MemoryTopic:
    return MemoryTopic()


@pytest.fixture
def registry(topic: MemoryTopic, tmp_path: Path) -> Iterator[Path]:
    """The SDK on a registry in memory; gives the folder of its cache."""
    forget_warnings()
    prompts.use(lambda: MemoryRegistryLog(topic), cache_dir=tmp_path)
    yield tmp_path
    prompts.stop()


def write(topic: MemoryTopic, job: Callable[[PromptStore], Awaitable[Any]]) -> None:
    async def run() -> None:
        await job(PromptStore(MemoryRegistryLog(topic)))

    asyncio.run(run())


def live(topic: MemoryTopic, text: str, label: str = "production") -> None:
    """Push a text and promote it."""

    async def job(store: PromptStore) -> None:
        pushed = await store.push(NAME, checked(NAME, Prompt(text=text)))
        await store.promote(NAME, pushed.version.number, label=label, by="anna")

    write(topic, job)


def until(said: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not said():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.005)


def test_a_promotion_reaches_a_running_application(topic: MemoryTopic, registry: Path) -> None:
    live(topic, "Answer {{ question }}")
    first = llmtower.prompt(NAME)
    assert (first.version, first.source, first.label, first.form) == ("1", "registry", "production", "text")
    assert first.render(question="why") == "Answer why"
    assert llmtower.prompt(NAME) is first, "a look into a mapping"
    live(topic, "Say {{ question }}")
    until(lambda: llmtower.prompt(NAME).version == "2")
    assert llmtower.prompt(NAME).render(question="why") == "Say why"
    assert first.render(question="why") == "Answer why", "what an application holds never changes under it"
    write(topic, lambda store: store.rollback(NAME, label="production", by="bert"))
    until(lambda: llmtower.prompt(NAME).version == "1")
    assert llmtower.prompt(NAME, version=2).render(question="x") == "Say x"
    assert llmtower.prompt(NAME, label="latest").version == "2"


def test_calls_are_tagged_with_name_and_version(topic: MemoryTopic, registry: Path, captured_calls: CapturedCalls) -> None:
    live(topic, "Answer {{ question }}")
    prompt = llmtower.prompt(NAME)
    with llmtower.context(prompt=prompt), llmtower.call(provider="openai", model="gpt-4o", input=prompt.render(question="q")) as call:
        call.finish(output="a")
    assert (captured_calls[0]["prompt_name"], captured_calls[0]["prompt_version"]) == (NAME, "1")


def test_with_everything_down_the_cache_answers_then_the_fallback(topic: MemoryTopic, registry: Path) -> None:
    live(topic, "Answer {{ question }}")
    llmtower.prompt(NAME)
    until(lambda: bool(list(registry.iterdir())))
    (file,) = registry.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    topic.reachable = False
    prompts.use(lambda: MemoryRegistryLog(topic), cache_dir=registry)
    cached = llmtower.prompt(NAME, fallback="F {{ question }}")
    assert (cached.source, cached.version, cached.render(question="q")) == ("cache", "1", "Answer q")
    assert llmtower.prompt(NAME, label="staging", fallback="F {{ question }}").source == "fallback"
    other = llmtower.prompt("other", fallback=[{"role": "user", "content": "F {{ question }}"}])
    assert (other.source, other.version) == ("fallback", "fallback")
    assert other.render(question="q", docs=[]) == [{"role": "user", "content": "F q"}], "what only the registry's version uses is taken too"
    with pytest.raises(PromptUnusableError, match="No prompt other production: neither the registry nor the cache has it"):
        llmtower.prompt("other")
    topic.reachable = True
    until(lambda: llmtower.prompt(NAME).source == "registry")


def test_without_an_open_port_nobody_waits(tmp_path: Path) -> None:
    opened: list[int] = []

    def open_log() -> MemoryRegistryLog:
        opened.append(1)
        return MemoryRegistryLog(MemoryTopic())

    prompts.use(open_log, cache_dir=tmp_path, servers="127.0.0.1:1")
    assert llmtower.prompt(NAME, fallback="F").source == "fallback"
    assert not opened, "Kafka's client is not even made"
    prompts.stop()


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda _: b"", lambda raw: raw.replace(b"Answer", b"Insult"), lambda _: b"\xff" * 99]
)
def test_a_damaged_cache_is_passed_over_and_replaced(
    topic: MemoryTopic, registry: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    live(topic, "Answer {{ question }}")
    llmtower.prompt(NAME)
    until(lambda: bool(list(registry.iterdir())))
    prompts.stop()
    (file,) = registry.iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))
    topic.reachable = False
    prompts.use(lambda: MemoryRegistryLog(topic), cache_dir=registry)
    assert llmtower.prompt(NAME, fallback="F").source == "fallback"
    assert "cache of prompts" in caplog.text
    assert "Insult" not in caplog.text
    topic.reachable = True
    until(lambda: llmtower.prompt(NAME, fallback="F").source == "registry")
    until(lambda: file.read_bytes() == good)


def test_a_cache_is_written_whole_and_beside_what_others_keep(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path / "deep", "kafka:9092")
    cache.write({"a": {"labels": {"x": 1}, "versions": {}}})
    PromptCache(tmp_path / "deep", "kafka:9092").write({"b": {"labels": {}, "versions": {}}})
    assert sorted(cache.read()) == ["a", "b"]
    assert len(list((tmp_path / "deep").iterdir())) == 1
    assert PromptCache(tmp_path / "deep", "other:9092").read() == {}
    (tmp_path / "file").write_text("")
    PromptCache(tmp_path / "file" / "x", "k").write({"a": {}})


def test_what_cannot_be_used_never_takes_the_place_of_what_can(
    topic: MemoryTopic, registry: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live(topic, "Answer {{ question }}")
    assert llmtower.prompt(NAME).version == "1"
    live_broken = encode_prompt(Prompt(text="{{ question.__class__ }}"))
    write(topic, lambda store: MemoryRegistryLog(topic).write(entry_key(f"prompt/{NAME}", 2, "a" * 32), live_broken))
    write(topic, lambda store: store.promote(NAME, 2, label="production", by="somebody's own writer"))
    until(lambda: "The last good version stays" in caplog.text)
    assert (llmtower.prompt(NAME).version, llmtower.prompt(NAME).source) == ("1", "registry")


def test_reading_goes_on_through_compaction_and_outages(topic: MemoryTopic, registry: Path) -> None:
    """A client that starts while losers are compacted away, and one that reads on after an outage, say the same."""
    live(topic, "a")
    loser = topic.records[0]._replace(offset=1, key=entry_key(f"prompt/{NAME}", 1, "b" * 32).encode())
    topic.records.insert(1, loser)
    live(topic, "b")
    assert llmtower.prompt(NAME).version == "2"
    topic.records.remove(loser)
    topic.reachable = False
    time.sleep(0.05)
    assert llmtower.prompt(NAME).version == "2"
    topic.reachable = True
    live(topic, "c")
    until(lambda: llmtower.prompt(NAME).version == "3")


def test_a_chat_is_rendered_message_by_message() -> None:
    chat = Prompt(
        form="chat",
        messages=(Message(role="system", content="Be {{ tone }}."), Message(role="user", content="{{ question }}")),
        variables={"tone": Variable(default="brief"), "question": Variable()},
        parameters={"model": "gpt-4o", "temperature": 0.2},
        tools=({"type": "function"},),
    )
    prompt = LoadedPrompt(NAME, "7", checked(NAME, chat), source="registry")
    assert prompt.render(question="why") == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "why"}]
    assert (prompt.parameters["temperature"], prompt.tools, prompt.variables) == (0.2, [{"type": "function"}], ("tone", "question"))
    assert repr(prompt) == "<prompt support/answer@7 from registry>"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, r"support/answer@7 needs question \(it takes tone, question\)\."),
        ({"question": "q", "colour": "hunter2"}, r"support/answer@7 takes no colour \(it takes tone, question\)\."),
        ({"colour": "c"}, r"support/answer@7 needs question and takes no colour"),
        ({"question": 3}, r"support/answer@7: question is to be a string, not a int\."),
        ({"question": "q", "tone": True}, r"support/answer@7: tone is to be a string, not a bool\."),
    ],
)
def test_missing_extra_and_mistyped_variables_are_sentences(values: dict[str, Any], sentence: str) -> None:
    prompt = Prompt(text="{{ tone }}{{ question }}", variables={"tone": Variable(default="brief"), "question": Variable()})
    with pytest.raises(PromptUnusableError, match=sentence) as caught:
        LoadedPrompt(NAME, "7", checked(NAME, prompt), source="registry").render(**values)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (Prompt(text="{{ a"), r"^support/answer, line 1: "),
        (
            Prompt(form="chat", messages=(Message(role="user", content="a"), Message(role="user", content="{{ f() }}"))),
            "message 2, line 1: a call",
        ),
        (Prompt(text="a", variables={"b": Variable()}), "declares b and never uses it"),
        (Prompt(text="{{ b }}", variables={"b": Variable(type="integer", default="x")}), "the default of b is no integer"),
    ],
)
def test_what_is_wrong_is_not_pushed(prompt: Prompt, sentence: str) -> None:
    with pytest.raises(PromptUnusableError, match=sentence):
        checked(NAME, prompt)


def test_variables_that_nobody_declared_are_found() -> None:
    found = checked(NAME, Prompt(text="{{ a }} {{ b }}", variables={"a": Variable(type="number", default=1)})).variables
    assert found == {"a": Variable(type="number", default=1, required=False), "b": Variable(type="any")}


class Silent(MemoryRegistryLog):
    """A broker that takes the connection and never answers."""

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        await asyncio.sleep(3_600)
        return []


def test_callers_wait_for_a_silent_registry_once_not_each(
    topic: MemoryTopic, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself they would wait 500 s, and the run's own limit end it."""
    monkeypatch.setattr(library, "WAIT_S", 0.5)
    prompts.use(lambda: Silent(topic), cache_dir=tmp_path)
    for number in range(1_000):
        assert llmtower.prompt(f"p{number}", fallback="F").source == "fallback"


class Odd(MemoryRegistryLog):
    """A client that raises, once, what nobody foresaw."""

    raised = 0

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        Odd.raised += 1
        if Odd.raised == 1:
            raise ValueError("unforeseen")
        return await super().read(wait_s)


def test_what_nobody_foresaw_does_not_end_the_following(
    topic: MemoryTopic, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_VERSION")  # under which internal errors are raised
    live(topic, "a")
    prompts.use(lambda: Odd(topic), cache_dir=tmp_path)
    until(lambda: llmtower.prompt(NAME, fallback="F").source == "registry")


class Counting(PromptCache):
    """A cache that counts how often it is written."""

    writes = 0

    def write(self, held: Mapping[str, Mapping[str, Any]]) -> None:
        self.writes += 1
        super().write(held)


def test_many_names_are_kept_together(topic: MemoryTopic, tmp_path: Path) -> None:
    """One write each would be 300 files of up to 300 prompts, and the applications' processor time."""

    async def job(store: PromptStore) -> None:
        for number in range(300):
            await store.push(f"p{number}", Prompt(text="a"))

    write(topic, job)
    cache = Counting(tmp_path, "")
    found = Library(lambda: MemoryRegistryLog(topic), cache)
    until(lambda: found.get(("p0", "latest", None)) is not None)
    for number in range(300):
        assert found.get((f"p{number}", "latest", None)) is not None
    found.stop()
    assert len(cache.read()) == 300
    assert cache.writes < 30


def test_a_protected_label_needs_its_key_in_scripts_too(topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMTOWER_PROMPTS__KEY", raising=False)
    live(topic, "a")

    def promote() -> Entry:
        move = partial(PromptStore.promote, name=NAME, number=1, label="production", by="bert")
        return asyncio.run(_moving("production", move, MemoryRegistryLog(topic)))

    assert promote().number == 2, "nobody has a key of that scope yet"
    text, key = make_key("default", ["promote"], name="ci", at_us=0)
    asyncio.run(MemoryRegistryLog(topic).write(f"{KEY}{key.key_id}", encode_key(key)))
    with pytest.raises(prompts.NotAllowedError, match="needs a key with the scope promote"):
        promote()
    monkeypatch.setenv("LLMTOWER_PROMPTS__KEY", text)
    moved = decode_move(promote())
    assert moved is not None
    assert moved.key_id == key.key_id


def test_a_switched_off_sdk_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_ENABLED", "false")
    monkeypatch.setenv("LLMTOWER_SDK__PROMPTS_DIR", str(tmp_path))
    monkeypatch.setenv("LLMTOWER_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert llmtower.prompt(NAME, fallback="F").source == "fallback"
    assert isinstance(prompts._library, Library)
    assert prompts._library._thread is None
    prompts.stop()


def test_settings_that_cannot_be_read_leave_the_fallback(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    forget_warnings()
    monkeypatch.setenv("LLMTOWER_SDK__QUEUE_EVENTS", "many")
    assert llmtower.prompt(NAME, fallback="F").source == "fallback"
    assert "prompts come from their fallbacks only: LLMTOWER_SDK__QUEUE_EVENTS" in caplog.text
    prompts.stop()


def test_without_a_home_nothing_is_kept_and_nothing_raised(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    forget_warnings()
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert llmtower.prompt(NAME, fallback="F").source == "fallback"
    llmtower.configure(app="a", bootstrap_servers="127.0.0.1:1")
    assert caplog.text.count("this user has no home directory") == 2, "configure() says it anew"
    llmtower.close()
    prompts.stop()


def test_a_forked_child_follows_for_itself(topic: MemoryTopic, registry: Path) -> None:
    live(topic, "a")
    assert llmtower.prompt(NAME).version == "1"
    assert prompts._library is not None
    prompts._library.pid = -1
    assert llmtower.prompt(NAME, fallback="F").source in ("fallback", "cache"), "the settings' registry, not the parent's"
