"""What the face must know of a statement before the engine sees it: its kind, its format, where an INSERT's data begins."""

import re
from dataclasses import dataclass
from typing import Final

from llmtower_processors.engine.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, SYNTAX_ERROR, EngineError
from llmtower_processors.engine.lexer import Token, tokens

_DATA_GAP: Final = re.compile(rb"[ \t\f\v]*(?:\r?\n)?")
_SESSION_WORDS: Final = ("SET", "USE")


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows follow it: `head` names table and columns, the rows begin at `data_start` of the text."""

    head: str
    settings: str
    format: str
    data_start: int
    token: str | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without inline rows; `token` is that of an INSERT … SELECT."""

    text: str
    format: str | None
    verb: str
    token: str | None = None

    @property
    def changes_session(self) -> bool:
        """SET and USE: valid, and forgotten with the request, because the face keeps no sessions."""
        return self.verb in _SESSION_WORDS


def parse(text: bytes) -> Insert | Statement:
    """Split an INSERT from its rows; any other text must be exactly one statement.

    Raises EngineError for an empty text, several statements, INTO OUTFILE, FROM INFILE and temporary tables.
    """
    first = next(tokens(text), None)
    if first is None:
        raise EngineError(SYNTAX_ERROR, "Syntax error: Empty query.")
    if first.is_word("INSERT"):
        insert = _insert(text)
        if insert is not None:
            return insert
    return _single(text)


def _insert(text: bytes) -> Insert | None:
    depth = 0
    settings_start: int | None = None
    previous: Token | None = None
    stream = tokens(text)
    for token in stream:
        depth += {b"(": 1, b")": -1}.get(token.text, 0) if token.kind == "symbol" else 0
        if depth or previous is None or previous.text == b"." or token.kind != "word":
            previous = token
            continue
        if token.is_word("SELECT", "WITH", "FROM", "INFILE", "WATCH") and not previous.is_word("INTO", "TABLE"):
            return None
        if token.is_word("SETTINGS") and settings_start is None and not previous.is_word("INTO", "TABLE"):
            settings_start = token.start
        elif token.is_word("VALUES") and not previous.is_word("INTO", "TABLE"):
            return _assemble(text, settings_start, token, "Values", token.end)
        elif token.is_word("FORMAT") and not previous.is_word("INTO", "TABLE"):
            name = next(stream, None)
            if name is None or name.kind not in ("word", "quoted"):
                raise EngineError(SYNTAX_ERROR, "Syntax error: FORMAT needs the name of a format.")
            if name.is_word("VALUES"):
                return _assemble(text, settings_start, token, "Values", name.end)
            gap = _DATA_GAP.match(text, name.end)
            return _assemble(text, settings_start, token, name.name, gap.end() if gap else name.end)
        previous = token
    return None


def _assemble(text: bytes, settings_start: int | None, end: Token, fmt: str, data_start: int) -> Insert:
    if not fmt.isidentifier():
        raise EngineError(BAD_ARGUMENTS, "The format of an INSERT must be a plain name.")
    head_end = end.start if settings_start is None else settings_start
    settings = b"" if settings_start is None else text[settings_start : end.start]
    return Insert(
        head=_text(text[:head_end]).strip(),
        settings=_text(settings).strip(),
        format=fmt,
        data_start=data_start,
        token=_deduplication_token(settings),
    )


def _text(statement: bytes) -> str:
    try:
        return statement.decode()
    except UnicodeDecodeError:
        raise EngineError(SYNTAX_ERROR, "Syntax error: the statement is not valid UTF-8.") from None


def _deduplication_token(settings: bytes) -> str | None:
    found = list(tokens(settings))
    for index, token in enumerate(found[:-2]):
        if token.is_word("INSERT_DEDUPLICATION_TOKEN") and found[index + 1].text == b"=":
            return found[index + 2].name
    return None


def _single(text: bytes) -> Statement:
    found = list(tokens(text))
    while found and found[-1].text == b";":
        found.pop()
    if not found:
        raise EngineError(SYNTAX_ERROR, "Syntax error: Empty query.")
    for index, token in enumerate(found):
        if token.text == b";" and token.kind == "symbol":
            raise EngineError(SYNTAX_ERROR, f"Syntax error (Multi-statements are not allowed): failed at position {token.start + 1}.")
        after = found[index + 1] if index + 1 < len(found) else None
        if after is not None and (
            (token.is_word("INTO") and after.is_word("OUTFILE")) or (token.is_word("FROM") and after.is_word("INFILE"))
        ):
            raise EngineError(NOT_IMPLEMENTED, "Files of the server are out of reach: send or fetch the rows in the HTTP body.")
    verb = next((token for token in found if token.text != b"("), found[0])
    if verb.is_word("CREATE") and any(token.is_word("TEMPORARY", "TEMP") for token in found[1:4]):
        raise EngineError(NOT_IMPLEMENTED, "Temporary tables need a session, and this server keeps none: create a table instead.")
    insert_token = _deduplication_token(text) if verb.is_word("INSERT") else None
    whole = _text(text[: found[-1].end])
    return Statement(text=whole, format=_output_format(found), verb=verb.text.upper().decode("latin-1"), token=insert_token)


def _output_format(found: list[Token]) -> str | None:
    depth = 0
    for index in range(len(found) - 2, -1, -1):
        token = found[index + 1]
        if token.kind == "symbol":
            depth += {b")": 1, b"(": -1}.get(token.text, 0)
        if depth == 0 and found[index].is_word("FORMAT") and token.kind in ("word", "quoted") and not token.is_word("ASC", "DESC"):
            before_end = index + 2 == len(found) or found[index + 2].is_word("SETTINGS")
            if before_end:
                return token.name
    return None
