"""Splitting statements from rows, and refusing what is not one statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.engine.errors import EngineError
from llmtower_processors.engine.lexer import tokens
from llmtower_processors.engine.statement import Insert, Statement, parse

INSERTS = [
    (b"INSERT INTO t FORMAT Native\n\x00\xff;'", "INSERT INTO t", "", "Native", b"\x00\xff;'"),
    (b"INSERT INTO t (a, `b\\`c`) VALUES (1, ';')", "INSERT INTO t (a, `b\\`c`)", "", "Values", b" (1, ';')"),
    (b"insert into db.t settings a = 1, b = 'x' format CSV\r\n1,2", "insert into db.t", "settings a = 1, b = 'x'", "CSV", b"1,2"),
    (b"/* x */ INSERT INTO TABLE t -- y\nFORMAT JSONEachRow {}", "/* x */ INSERT INTO TABLE t -- y", "", "JSONEachRow", b"{}"),
    (b"INSERT INTO t FORMAT Values (1)", "INSERT INTO t", "", "Values", b" (1)"),
    (b"INSERT INTO FUNCTION null('a Int8') FORMAT CSV\n1", "INSERT INTO FUNCTION null('a Int8')", "", "CSV", b"1"),
    (b"INSERT INTO format FORMAT TSV\n\n1", "INSERT INTO format", "", "TSV", b"\n1"),
    (b"INSERT INTO d.values VALUES", "INSERT INTO d.values", "", "Values", b""),
    (b"INSERT INTO t FORMAT TSV  \t\n x", "INSERT INTO t", "", "TSV", b" x"),
]


@pytest.mark.parametrize(("text", "head", "settings", "fmt", "rows"), INSERTS)
def test_insert_is_split_from_its_rows(text: bytes, head: str, settings: str, fmt: str, rows: bytes) -> None:
    found = parse(text)
    assert isinstance(found, Insert)
    assert (found.head, found.settings, found.format, text[found.data_start :]) == (head, settings, fmt, rows)


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ("insert_deduplication_token = 'a\\'b'", "a'b"),
        ("max_threads=1, INSERT_DEDUPLICATION_TOKEN='x''y'", "x'y"),
        ("max_threads=1", None),
    ],
)
def test_the_token_is_found_in_the_settings(settings: str, token: str | None) -> None:
    found = parse(f"INSERT INTO t SETTINGS {settings} FORMAT CSV\n".encode())
    assert isinstance(found, Insert)
    assert found.token == token


def test_the_token_of_an_insert_from_a_select() -> None:
    found = parse(b"INSERT INTO t SETTINGS insert_deduplication_token = 'x' SELECT 1")
    assert isinstance(found, Statement)
    assert found.token == "x"
    found = parse(b"SELECT 1 SETTINGS insert_deduplication_token = 'x'")
    assert isinstance(found, Statement)
    assert found.token is None


@pytest.mark.parametrize(
    ("text", "fmt", "verb", "kept"),
    [
        (b"SELECT 1", None, "SELECT", "SELECT 1"),
        (b" (SELECT 1) ; ; -- end", None, "SELECT", " (SELECT 1)"),
        (b"SELECT 1 FORMAT JSON", "JSON", "SELECT", "SELECT 1 FORMAT JSON"),
        (b"SELECT 1 format `CSV` settings a = 1", "CSV", "SELECT", "SELECT 1 format `CSV` settings a = 1"),
        (b"SELECT (SELECT format('x') AS format), ';' # c", None, "SELECT", "SELECT (SELECT format('x') AS format), ';'"),
        (b"INSERT INTO t SELECT 1", None, "INSERT", "INSERT INTO t SELECT 1"),
        (b"SELECT format FROM t ORDER BY format DESC", None, "SELECT", "SELECT format FROM t ORDER BY format DESC"),
        (b"SET a = 1", None, "SET", "SET a = 1"),
        (b"SELECT $x$; ' \" $x$, $$;$$", None, "SELECT", "SELECT $x$; ' \" $x$, $$;$$"),
    ],
)
def test_other_statements(text: bytes, fmt: str | None, verb: str, kept: str) -> None:
    found = parse(text)
    assert isinstance(found, Statement)
    assert (found.format, found.verb, found.text) == (fmt, verb, kept)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 62),
        (b" ; ", 62),
        (b"-- nothing", 62),
        (b"SELECT 1; SELECT 2", 62),
        (b"SELECT '\xff'", 62),
        (b"INSERT INTO t\xff FORMAT CSV\n1", 62),
        (b"SELECT 1; DROP TABLE t;", 62),
        (b"INSERT INTO t SELECT 1; SELECT 2", 62),
        (b"SELECT 'x", 62),
        (b'SELECT "x', 62),
        (b"SELECT `x", 62),
        (b"SELECT 1 /* x", 62),
        (b"INSERT INTO t FORMAT", 62),
        (b"INSERT INTO t FORMAT 'x'\n1", 62),
        (b"INSERT INTO t FORMAT `x y`\n1", 36),
        (b"SELECT 1 INTO OUTFILE 'x'", 48),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", 48),
        (b"CREATE TEMPORARY TABLE t (a Int8)", 48),
        (b"CREATE OR REPLACE TEMPORARY TABLE t (a Int8)", 48),
    ],
)
def test_refused(text: bytes, code: int) -> None:
    with pytest.raises(EngineError) as caught:
        parse(text)
    assert caught.value.code == code


@given(st.binary(max_size=300))
def test_the_data_of_an_insert_is_never_read(rows: bytes) -> None:
    found = parse(b"INSERT INTO t FORMAT RowBinary\n" + rows)
    assert isinstance(found, Insert)
    assert found.data_start == len(b"INSERT INTO t FORMAT RowBinary\n")


@given(st.binary(max_size=200))
def test_tokens_lie_in_order_or_the_text_is_refused(text: bytes) -> None:
    try:
        found = list(tokens(text))
    except EngineError:
        return
    position = 0
    for token in found:
        assert position <= token.start < token.end
        assert text[token.start : token.end] == token.text
        position = token.end


@given(st.text(max_size=30))
def test_a_quoted_string_is_one_token_and_reads_back(value: str) -> None:
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    found = list(tokens(f"SELECT {quoted}".encode()))
    assert [token.kind for token in found] == ["word", "string"]
    assert found[1].name == value
