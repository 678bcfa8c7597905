"""Where in a file of rules something stands: lines and columns of its YAML, counted from 1. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

_KEY: Final = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file; line and column count from 1."""

    line: int
    column: int
    message: str


class Places:
    """The nodes of a file's text, which can be read as YAML."""

    def __init__(self, text: str, root: yaml.Node | None = None) -> None:
        self._text = text
        self._root: yaml.Node = root or yaml.compose(text, Loader=yaml.SafeLoader) or yaml.MappingNode("", [])

    def fault(self, location: Sequence[int | str], message: str, *, key: bool = False) -> Fault:
        """Put a sentence to where its location is; `key`: to the key, not to its value."""
        return _at(self._find(location, key=key), message)

    def about(self, location: Sequence[int | str], message: str) -> Fault:
        """Put a sentence to the part of a mapping that its first word names, where it names one: `window must be …`."""
        named = _KEY.match(message)
        found = self._find([*location, *((named.group(),) if named else ())], key=False)
        if named and named.group() in ("warning", "critical"):
            found = self._find([*location, "levels", named.group()], key=False) if found is self._find(location, key=False) else found
        return _at(found, message)

    def rule(self, name: str, field: str, message: str) -> Fault | None:
        """Put a sentence to a field of a rule; None when the rule does not stand in this file."""
        found = self._rule(name)
        return None if found is None else self.fault([*found, field], message)

    def word(self, name: str, field: str, word: str, message: str, *, before: str = "") -> Fault | None:
        """Put a sentence to a word in the text of a rule's field; `before`: of those that are alike, the one after this text."""
        found = self._rule(name)
        if found is None:
            return None
        node = self._find([*found, field], key=False)
        pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)" if re.match(r"\w", word) else re.escape(word))
        alike = list(pattern.finditer(self._text, node.start_mark.index, node.end_mark.index)) if word else []
        number = len(pattern.findall(before))
        if number >= len(alike):
            return _at(node, message)
        ahead = self._text[: alike[number].start()]
        return Fault(ahead.count("\n") + 1, len(ahead) - ahead.rfind("\n"), message)

    def doubled_keys(self) -> Iterator[Fault]:
        """YAML lets a later key overwrite an earlier one in silence."""
        yield from _doubled(self._root)

    def _rule(self, name: str) -> tuple[int | str, ...] | None:
        rules = self._find(["rules"], key=False)
        items = rules.value if isinstance(rules, yaml.SequenceNode) else []
        named = (number for number, one in enumerate(items) if _value(one, "name") == name)
        number = next(named, None)
        return None if number is None else ("rules", number)

    def _find(self, location: Sequence[int | str], *, key: bool) -> Any:
        """Walk down as far as the file goes; what is missing is shown where it should be."""
        node = self._root
        for depth, step in enumerate(location):
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if str(pair[0].value) == str(step)), None)
                if pair is None:
                    break
                node = pair[0] if key and depth == len(location) - 1 else pair[1]
            else:
                break
        return node


def _value(node: Any, key: str) -> Any:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value.value for name, value in pairs if name.value == key), None)


def _at(node: yaml.Node, message: str) -> Fault:
    mark = node.start_mark
    return Fault(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, message)


def _doubled(node: yaml.Node) -> Iterator[Fault]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _doubled(item)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            text = str(key.value)
            if text in seen:
                yield _at(key, f"{text!r} stands here a second time (first in line {seen[text]})")
            seen.setdefault(text, key.start_mark.line + 1)
            yield from _doubled(value)
