"""Templates of prompts: a part of Jinja2 that cannot reach Python, loop or grow without bound. Pure; needs `llmtower[prompts]`.

A template is parsed, and only what a prompt needs passes (variables, conditions, loops, filters of one table): calls, macros, imports,
attributes with underscores and the like are refused when a prompt is pushed or loaded, not when it is rendered. What passes runs in
Jinja2's immutable sandbox with strict variables; loops count down one budget, and every operation that makes a text checks its size.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmtower.template_filters import BUDGET, HIDDEN_FILTERS, MAX_TEXT, OWN_FILTERS, Budget, RenderError, weighed

MAX_NODES: Final = 20_000
"""Parts of one template; a text without any logic is one."""
_MAX_BITS: Final = 4_096


class TemplateRefusedError(ValueError):
    """A template is wrong; the message says in which line, and never quotes it."""


_KEPT_FILTERS: Final = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length", "list", "lower"),
    *("map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "string", "title", "trim"),
    *("truncate", "unique", "upper", "wordcount"),
)
_LOOPING_FILTERS: Final = frozenset(
    {"join", "list", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum", "unique"}
)
"""What goes through all items counts them like a loop."""
_TEXT_FILTERS: Final = frozenset({"capitalize", "indent", "lower", "string", "title", "trim", "truncate", "upper", "wordcount"})
"""What makes a text of anything is not handed one that would not end."""
_KEPT_TESTS: Final = (
    *("boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in", "integer", "iterable", "le", "lower", "lt"),
    *("mapping", "ne", "none", "number", "odd", "sequence", "string", "true", "undefined", "upper", "==", "!=", "<", "<=", ">", ">="),
)
_KEPT_NODES: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice),
    *(nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat),
    *(nodes.If, nodes.For, nodes.Assign, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Call),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
)
_NAMES: Final = {nodes.Call: "a call", nodes.Pow: "**", nodes.NSRef: "a namespace", nodes.Macro: "a macro", nodes.Include: "an include"}


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with what could grow intercepted."""

    intercepted_binops = frozenset({"+", "*", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `+`, `*` and `%` where the result stays small."""
        if operator == "%" and not isinstance(left, int | float):
            raise RenderError("% is for numbers: join texts with ~")
        if operator == "*":
            if not (isinstance(left, int | float) and isinstance(right, int | float)):
                raise RenderError("* is for numbers")
            if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MAX_BITS:
                raise RenderError("a number grows too large")
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__") and len(left) + len(right) > MAX_TEXT:
            raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")
        if operator == "+":
            context.parent[BUDGET].weigh(left, right)
        return super().call_binop(context, operator, left, right)


def _environment() -> _Environment:
    made = _Environment(
        undefined=StrictUndefined, finalize=weighed, autoescape=False, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    made.filters = {name: made.filters[name] for name in _KEPT_FILTERS} | OWN_FILTERS | HIDDEN_FILTERS
    made.tests = {name: made.tests[name] for name in _KEPT_TESTS}
    made.globals = {"range": made.globals["range"]}
    return made


_ENVIRONMENT: Final = _environment()


def compile_template(source: str, *, where: str = "the template") -> Template:
    """Parse, check and compile. Raises TemplateRefusedError."""
    try:
        tree = _ENVIRONMENT.parse(source)
        _check(tree, where)
        _rewrite(tree)
        code = _ENVIRONMENT.compile(tree)
    except TemplateRefusedError:
        raise
    except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise TemplateRefusedError(f"{where}{f', line {line}' if line else ''}: {_reason(error)}") from error
    return Template.from_code(_ENVIRONMENT, code, dict(_ENVIRONMENT.globals))


def variables_of(source: str, *, where: str = "the template") -> frozenset[str]:
    """Give the names that a template must be given. Raises TemplateRefusedError."""
    from jinja2 import meta

    try:
        return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(source))) - {"range"}
    except TemplateError as error:
        raise TemplateRefusedError(f"{where}: {_reason(error)}") from error


def render_template(template: Template, values: Mapping[str, Any]) -> str:
    """Render. Raises RenderError, which never quotes a value."""
    budget = Budget()
    found: list[str] = []
    length = 0
    try:
        for part in template.root_render_func(template.new_context({**values, BUDGET: budget})):
            length += len(part)
            if length > MAX_TEXT:
                raise RenderError(f"it grows beyond {MAX_TEXT:,} characters")
            budget.look()
            found.append(part)
        return "".join(found)
    except RenderError:
        raise
    except UndefinedError as error:
        raise RenderError(str(error.message or "a variable is missing")) from error
    except SecurityError as error:
        raise RenderError("it reaches for what templates may not touch") from error
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError, MemoryError) as error:
        raise RenderError(f"it fails with {type(error).__name__}") from error


def _check(tree: nodes.Template, where: str) -> None:
    for count, node in enumerate(_walk(tree)):
        if count > MAX_NODES:
            raise TemplateRefusedError(f"{where} has more than {MAX_NODES:,} parts: move logic into the application")
        if reason := _refused(node):
            raise TemplateRefusedError(f"{where}, line {node.lineno}: {reason}")


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.iter_child_nodes())


def _refused(node: nodes.Node) -> str:
    """Say why a part is not allowed; empty when it is."""
    if not isinstance(node, _KEPT_NODES):
        return f"{_NAMES.get(type(node), f'`{type(node).__name__.lower()}`')} is not allowed in a prompt"
    if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Name) and node.node.name == "range" and not node.dyn_args):
        return "a call is not allowed in a prompt (only range): use filters"
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return "names with an underscore in front are not allowed"
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and node.value.startswith("__"):
        return "names with an underscore in front are not allowed"
    if isinstance(node, nodes.Name) and (node.name.startswith("_") or (node.ctx == "store" and node.name == "range")):
        return "names with an underscore in front are not allowed"
    if isinstance(node, nodes.Filter) and (node.name in HIDDEN_FILTERS or node.name not in _ENVIRONMENT.filters or node.node is None):
        return "this filter is not allowed in a prompt" + ("" if node.node is not None else " as a block")
    if isinstance(node, nodes.Test) and node.name not in _ENVIRONMENT.tests:
        return "this test is not allowed in a prompt"
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop is not allowed in a prompt"
    return ""


def _rewrite(tree: nodes.Template) -> None:
    """Let every loop count down the budget, every `~` check its size, and whatever holds others be weighed; inner parts first."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = _counted(loop.iter)
    for found in list(tree.find_all(nodes.Filter)):
        if found.name in _LOOPING_FILTERS and found.node is not None:
            found.node = _counted(found.node)
        if found.name in _TEXT_FILTERS and found.node is not None:
            found.node = _guarded(found.node, "_weighed")
    for parent in reversed(list(_walk(tree))):
        for field, value in list(parent.iter_fields()):
            if isinstance(value, nodes.Node):
                setattr(parent, field, _checked(value))
            elif isinstance(value, list):
                value[:] = [_checked(item) if isinstance(item, nodes.Node) else item for item in value]


def _counted(items: nodes.Node) -> nodes.Filter:
    return _guarded(items, "_bounded")


def _guarded(node: nodes.Node, name: str, *others: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(others), [], None, None, lineno=node.lineno)


def _checked(node: nodes.Node) -> nodes.Node:
    if isinstance(node, nodes.Concat):
        return _guarded(node.nodes[0], "_joined", *node.nodes[1:])
    holds = isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    return _guarded(node, "_weighed") if holds else node


def _reason(error: BaseException) -> str:
    """Jinja2's own messages quote names and tags, never text around them; cut all the same."""
    return str(getattr(error, "message", None) or type(error).__name__)[:200]
