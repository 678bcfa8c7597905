"""Settings, credentials, errors, the tree of EXPLAIN AST, the inbox: the small pieces of the engine's face."""

import base64
import json
import stat
from pathlib import Path

import pytest

from llmtower_processors.engine import credentials, settings
from llmtower_processors.engine.catalog import Functions
from llmtower_processors.engine.credentials import Credentials, Role
from llmtower_processors.engine.errors import EngineError, from_engine
from llmtower_processors.engine.inbox import Inbox
from llmtower_processors.engine.server import is_loopback_name
from llmtower_processors.engine.tree import Node, read_tree

PEOPLE = Credentials({"writer": "w", "content": "c", "dashboards": "d"})


def test_the_writer_sets_anything_and_tokens_pass_through() -> None:
    found = settings.for_request(Role.WRITER, {"insert_deduplication_token": "x", "query": "SELECT 1", "param_a": "1", "max_threads": "2"})
    assert found["insert_deduplication_token"] == "x"
    assert found["max_threads"] == "2"
    assert found["deduplicate_blocks_in_dependent_materialized_views"] == "1"
    assert found["async_insert"] == "0"
    assert not {"query", "param_a"} & set(found)


def test_every_role_has_a_memory_limit() -> None:
    assert all("max_memory_usage" in settings.for_request(role, {}) for role in Role)


@pytest.mark.parametrize(("asked", "given"), [("10", "10"), ("0", "120"), ("500", "120"), ("1e1", "10")])
def test_readers_lower_limits_only(asked: str, given: str) -> None:
    assert settings.for_request(Role.DASHBOARDS, {"max_execution_time": asked})["max_execution_time"] == given


@pytest.mark.parametrize(("name", "value"), [("max_execution_time", "-1"), ("max_execution_time", "soon"), ("max_memory_usage", "nan")])
def test_nonsense_limits_are_refused(name: str, value: str) -> None:
    with pytest.raises(EngineError):
        settings.for_request(Role.DASHBOARDS, {name: value})


@pytest.mark.parametrize("name", ["allow_ddl", "readonly", "file_x", "additional_result_filter", "output_format_schema", "x = 1, y"])
def test_readers_may_not_set_the_rest(name: str) -> None:
    with pytest.raises(EngineError) as caught:
        settings.for_request(Role.CONTENT, {name: "0"})
    assert caught.value.code in (36, 164)


def test_names_of_settings_cannot_carry_sql() -> None:
    with pytest.raises(EngineError):
        settings.for_request(Role.WRITER, {"a = 1; DROP TABLE x": "1"})


def test_set_statement_quotes_and_locks() -> None:
    assert settings.set_statement({"a": "it's \\"}, read_only=False) == "SET a = 'it\\'s \\\\'"
    assert settings.set_statement({"a": "1", "readonly": "0"}, read_only=True) == "SET a = '1', readonly = 2"
    assert settings.set_statement({"a": "1", "readonly": "1"}, read_only=False) == "SET a = '1', readonly = 2"


@pytest.mark.parametrize(
    ("user", "password", "loopback", "role"),
    [
        ("", "", True, Role.DASHBOARDS),
        ("default", "", True, Role.DASHBOARDS),
        ("writer", "w", False, Role.WRITER),
        ("content", "c", True, Role.CONTENT),
        ("", "", False, None),
        ("default", "", False, None),
        ("writer", "", True, None),
        ("writer", "c", True, None),
        ("nobody", "w", True, None),
        ("writer", "wé", True, None),
    ],
)
def test_who_is_who(user: str, password: str, loopback: bool, role: Role | None) -> None:
    if role is not None:
        assert PEOPLE.authenticate(user, password, loopback=loopback) is role
        return
    with pytest.raises(EngineError) as caught:
        PEOPLE.authenticate(user, password, loopback=loopback)
    assert caught.value.code == 516


def test_credentials_in_a_request() -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(b"u:p:q").decode()}
    assert credentials.from_request(basic, {"user": "x"}) == ("u", "p:q")
    assert credentials.from_request({"X-ClickHouse-User": "u", "X-ClickHouse-Key": "k"}, {}) == ("u", "k")
    assert credentials.from_request({}, {"user": "u", "password": "p"}) == ("u", "p")
    assert credentials.from_request({}, {}) == ("", "")
    for header in ("Bearer x", "Basic %%", "Basic /w=="):
        with pytest.raises(EngineError):
            credentials.from_request({"Authorization": header}, {})


def test_passwords_are_made_once_private_and_never_shown(tmp_path: Path) -> None:
    first = credentials.load_or_create(tmp_path)
    path = tmp_path / credentials.FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert credentials.load_or_create(tmp_path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({first.password(role) for role in Role}) == 3
    assert all(len(first.password(role)) >= 32 for role in Role)
    assert first.password(Role.WRITER) not in repr(first)
    assert [path.name for path in tmp_path.iterdir()] == [credentials.FILE_NAME]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", json.dumps({"writer": "x"}), json.dumps({"writer": "", "content": "c", "dashboards": "d"})]
)
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / credentials.FILE_NAME).write_text(content)
    with pytest.raises(ValueError, match=r"credentials\.json"):
        credentials.load_or_create(tmp_path)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("Code: 60. DB::Exception: Unknown table x. (UNKNOWN_TABLE)", 60, "Unknown table x. (UNKNOWN_TABLE)"),
        (
            "Code: 27. DB::Exception: Code: 27. DB::Exception: bad: (at row 1)\n: data. (NAME) (version 26.9.2.1). (NAME)",
            27,
            "bad: (at row 1)\n: data. (NAME)",
        ),
        ("no code at all", 1000, "no code at all"),
    ],
)
def test_errors_of_the_engine(text: str, code: int, message: str) -> None:
    error = from_engine(RuntimeError(text))
    assert (error.code, error.message) == (code, message)
    assert error.body("1.2").startswith(f"Code: {code}. DB::Exception: ")
    assert error.body("1.2").count("(NAME)") <= 1


def test_statuses_are_those_of_a_server() -> None:
    expected = {62: 400, 60: 404, 497: 403, 516: 403, 159: 408, 191: 413, 48: 501, 202: 503, 395: 500}
    assert {code: EngineError(code, "x").status for code in expected} == expected


def test_the_tree_is_read() -> None:
    text = "SelectWithUnionQuery (children 2)\n ExpressionList (children 1)\n  Function f (alias a b) (children 1)\n Identifier CSV\n"
    assert list(read_tree(text)) == [
        Node("SelectWithUnionQuery", "", ""),
        Node("ExpressionList", "", "SelectWithUnionQuery"),
        Node("Function", "f", "ExpressionList"),
        Node("Identifier", "CSV", "SelectWithUnionQuery"),
    ]


@pytest.mark.parametrize("text", ["A\n   B", "A\n\n B", " A"])
def test_a_tree_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as caught:
        list(read_tree(text))
    assert caught.value.code == 497


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("sum", True),
        ("SUM", True),
        ("sumIf", True),
        ("sumForEachMergeIf", True),
        ("file", False),
        ("fileIf", False),
        ("If", False),
        ("", False),
    ],
)
def test_functions_with_combinators(name: str, allowed: bool) -> None:
    functions = Functions(frozenset({"sum"}), ("foreach", "merge", "if"))
    assert functions.allows(name) is allowed


def test_the_inbox_falls_back_to_the_data_directory(tmp_path: Path) -> None:
    memory = tmp_path / "shm"
    memory.mkdir()
    inbox = Inbox(tmp_path / "data", shared_memory=memory)
    with inbox.file(memoryview(b"rows")) as path:
        assert path.read_bytes() == b"rows"
        assert path.is_relative_to(memory)
    assert not path.exists()
    nowhere = Inbox(tmp_path / "data", shared_memory=tmp_path / "missing")
    with nowhere.file(memoryview(b"rows")) as path:
        assert path.is_relative_to(tmp_path / "data")
    assert not path.exists()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "data", shared_memory=tmp_path / "missing")
    (tmp_path / "data" / "inbox").rmdir()
    with pytest.raises(EngineError) as caught, inbox.file(memoryview(b"rows")):
        pass
    assert (caught.value.code, caught.value.status) == (243, 500)


def test_the_inbox_clears_what_a_killed_engine_left(tmp_path: Path) -> None:
    memory = tmp_path / "shm"
    memory.mkdir()
    with Inbox(tmp_path / "data", shared_memory=memory).file(memoryview(b"rows")) as path:
        Inbox(tmp_path / "data", shared_memory=memory)
        assert not path.exists()
    assert all(not any(folder.iterdir()) for folder in memory.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_names(name: str, expected: bool) -> None:
    assert is_loopback_name(name) is expected
