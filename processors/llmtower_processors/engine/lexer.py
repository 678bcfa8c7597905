"""Tokens of a ClickHouse statement, found lazily so that the data behind an INSERT is never scanned."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from llmtower_processors.engine.errors import SYNTAX_ERROR, EngineError

_TOKEN: Final = re.compile(
    rb"""
    (?P<space>[\s\x00]+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*+')
  | (?P<quoted>`(?:[^`\\]|\\.|``)*+`|"(?:[^"\\]|\\.|"")*+")
  | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<word>[A-Za-z0-9_$\x80-\xff]+)
  | (?P<open>['"`]|/\*)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is string, quoted, heredoc, word or symbol; offsets are bytes of the statement."""

    kind: str
    text: bytes
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """True for an unquoted word among `words` (upper case)."""
        return self.kind == "word" and self.text.upper().decode("latin-1") in words

    @property
    def name(self) -> str:
        """The identifier or the string this token stands for, without its quotes."""
        text = self.text.decode("utf-8", "replace")
        if self.kind not in ("quoted", "string"):
            return text
        quote = text[0]
        return re.sub(r"\\(.)", r"\1", text[1:-1].replace(quote * 2, quote), flags=re.DOTALL)


def tokens(statement: bytes, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of a statement; comments and white space are left out.

    Raises EngineError where a quote or a comment is not closed.
    """
    position = start
    while position < len(statement):
        match = _TOKEN.match(statement, position)
        if match is None or match.lastgroup is None:
            raise EngineError(SYNTAX_ERROR, f"Syntax error: failed at position {position + 1}.")
        position = match.end()
        kind = "heredoc" if match["heredoc"] is not None else match.lastgroup
        if kind == "space":
            continue
        if kind == "open":
            raise EngineError(SYNTAX_ERROR, f"Syntax error: quote or comment opened at position {match.start() + 1} is not closed.")
        yield Token(kind, match[0], match.start(), match.end())
