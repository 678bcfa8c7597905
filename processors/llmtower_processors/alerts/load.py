"""Read a file of rules, and say of every fault in which line and column it is and what to do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from llmtower_processors.alerts.across import doubled_names, doubtful
from llmtower_processors.alerts.levels import Baseline, Budget, BurnRate, Level, Levels
from llmtower_processors.alerts.places import Fault, Places
from llmtower_processors.alerts.rules import Route, Rule, Rules
from llmtower_processors.errors import LlmtowerError

SHIPPED: Final = "default_rules.yaml"
MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 200_000
"""Aliases count as often as they are used."""

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "rules": Rule,
    "routes": Route,
    "levels": Levels,
    "warning": Level,
    "critical": Level,
    "baseline": Baseline,
    "burn_rate": BurnRate,
    "budget": Budget,
}


class RulesError(LlmtowerError):
    """A file of rules cannot be used; `faults` are all that were found, in order."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{name}:{fault.line}:{fault.column}: {fault.message}" for fault in faults))


def load_rules(path: Path | None = None) -> Rules:
    """Read a file; None = the rules shipped with Llmtower. Every rule knows what it leaves out. Raises RulesError."""
    if path is None:
        return _shipped().settled()
    rules = parse_rules(_text(path), str(path))
    return (_with_shipped(rules) if rules.include_defaults else rules).settled()


def doubts(path: Path | None) -> list[Fault]:
    """Give what is doubtful in a file that can be used, in order. Raises RulesError."""
    if path is None:
        return []
    text = _text(path)
    places = Places(text)
    return _in_order(places.fault(location, sentence) for location, sentence in doubtful(parse_rules(text, str(path))))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RulesError(str(path), [Fault(1, 1, f"the file is larger than {MAX_BYTES >> 20} MiB")])
        return path.read_text("utf-8")
    except OSError as error:
        raise RulesError(str(path), [Fault(1, 1, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise RulesError(str(path), [Fault(1, 1, f"is not UTF-8 (byte {error.start})")]) from error


def daily_budget(rules: Rules, group_by: tuple[str, ...]) -> float | None:
    """Dollars that each group may cost a day (UTC), by the strictest rule that counts all its calls; None where no rule says so."""
    same = (rule for rule in rules.active() if rule.metric == "cost" and set(rule.group_by) == set(group_by))
    found = (rule for rule in same if not rule.where and not rule.except_)
    return min((rule.budget.amount for rule in found if rule.budget and rule.budget.period == "day"), default=None)


def parse_rules(text: str, name: str = "alerts.yaml") -> Rules:
    """Read the text of a file. Raises RulesError naming every fault with its line and column."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return Rules()
        _count(root)
        places = Places(text, root)
        faults = list(places.doubled_keys())
        values: Any = yaml.load(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise RulesError(name, [_broken(error)]) from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise RulesError(name, [Fault(1, 1, f"cannot be read as YAML: {_first_line(error)}")]) from error
    if faults:
        raise RulesError(name, faults)
    if not isinstance(values, dict):
        raise RulesError(name, [Fault(1, 1, "must be a mapping with the keys version, routes, rules")])
    try:
        rules = Rules.model_validate(values)
    except ValidationError as error:
        raise RulesError(name, _in_order(_faults(error, places, values))) from error
    if found := _in_order(places.fault(location, sentence) for location, sentence in doubled_names(rules)):
        raise RulesError(name, found)
    return rules


def rules_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of a file of rules, for editors."""
    schema = Rules.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Llmtower alert rules"}


def schema_text() -> str:
    """Give the text of `schemas/exported/alerts.schema.json`."""
    return orjson.dumps(rules_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()


def _shipped() -> Rules:
    return parse_rules(resources.files(__package__).joinpath(SHIPPED).read_text("utf-8"), SHIPPED)


def _with_shipped(rules: Rules) -> Rules:
    """Rules of the same name replace shipped ones, in their place; routes likewise. What is left out is what the own file says."""
    shipped = _shipped()
    own = {rule.name: rule for rule in rules.rules}
    merged = [own.pop(rule.name, rule) for rule in shipped.rules]
    return rules.model_copy(update={"rules": (*merged, *own.values()), "routes": {**shipped.routes, **rules.routes}})


def _broken(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    problem = f"{error.problem or error.context or 'cannot be read'}"
    return Fault(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"broken YAML: {problem}")


def _count(root: yaml.Node) -> None:
    """An alias may stand for much more than it looks like."""
    seen = 0
    open_nodes = [root]
    while open_nodes:
        seen += 1
        if seen > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES:,} values (aliases counted as often as they are used)")
        node = open_nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            open_nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            open_nodes += [part for pair in node.value for part in pair]


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.line, fault.column))


def _faults(error: ValidationError, places: Places, values: Mapping[str, Any]) -> Iterator[Fault]:
    for fault in error.errors():
        location, of_rule = fault["loc"], _of_rule(fault["loc"], values)
        extra = fault["type"] == "extra_forbidden"
        sentence = _sentence(fault, extra=extra)
        found = places.about(location, sentence) if fault["type"] == "value_error" else places.fault(location, sentence, key=extra)
        yield replace(found, message=f"{of_rule}{found.message}")


def _of_rule(location: Sequence[int | str], values: Mapping[str, Any]) -> str:
    """Name the rule that a fault is in."""
    if len(location) < 2 or location[0] != "rules" or not isinstance(location[1], int):
        return ""
    rule = values["rules"][location[1]]
    name = rule.get("name") if isinstance(rule, dict) else None
    return f"rule {name}: " if isinstance(name, str) else f"rule {location[1] + 1}: "


def _sentence(fault: Any, *, extra: bool) -> str:
    path = [str(part) for part in fault["loc"] if isinstance(part, str) and not part.startswith("function-")]
    field = path[-1] if path and path[-1] not in ("rules", "routes") else ""
    if extra:
        return f"{field!r} is no key here{_nearest(field, path)}"
    if fault["type"] == "missing":
        return f"{field} is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field and fault["type"] != "value_error" else message


def _nearest(field: str, path: Sequence[str]) -> str:
    model = next((_MODELS[part] for part in reversed(path[:-1]) if part in _MODELS), Rules)
    names = [info.alias or name for name, info in model.model_fields.items()]
    near = get_close_matches(field, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
