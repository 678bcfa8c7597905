"""A prompt in an application's hands: one version, ready to render; and what is checked before a version is pushed. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from llmtower_schemas.prompts import Message, Prompt, Type, Variable

Source = Literal["registry", "cache", "fallback"]
Rendered = str | list[dict[str, str]]
"""A text, or the messages of a chat as OpenAI's and most other clients take them."""

_TYPES: Final[dict[Type, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list, tuple),
    "object": (dict,),
}
_NEEDS: Final = "Rendering prompts needs jinja2, which is not installed. Run: pip install 'llmtower[prompts]'"


class PromptUnusableError(ValueError):
    """A prompt cannot be had, pushed or rendered; the message says which and what to do, and never quotes a text or a value."""


def fits(variable: Variable, value: Any) -> bool:
    """Say whether a value is of a variable's type."""
    if variable.type == "any":
        return True
    return isinstance(value, _TYPES[variable.type]) and (variable.type == "boolean" or not isinstance(value, bool))


def checked(name: str, prompt: Prompt) -> Prompt:
    """Give a prompt as it is pushed: its templates compile, every variable they use is declared, defaults fit their types.

    Raises PromptUnusableError.
    """
    templates = _templates()
    used: set[str] = set()
    for number, source in enumerate(prompt.templates(), 1):
        where = f"{name}, message {number}" if prompt.form == "chat" else name
        try:
            templates.compile_template(source, where=where)
            used |= templates.variables_of(source, where=where)
        except templates.TemplateRefusedError as error:
            raise PromptUnusableError(f"{error}.") from error
    variables = {title: _settled(name, title, one) for title, one in prompt.variables.items()}
    if unused := sorted(variables.keys() - used):
        raise PromptUnusableError(f"{name} declares {', '.join(unused)} and never uses it: use it in a template, or leave it out.")
    found = {title: Variable(type="any") for title in sorted(used - variables.keys())}
    return prompt.model_copy(update={"variables": {**variables, **found}})


def _settled(name: str, title: str, variable: Variable) -> Variable:
    given = "default" in variable.model_fields_set and variable.default is not None
    if given and not fits(variable, variable.default):
        raise PromptUnusableError(f"{name}: the default of {title} is no {variable.type}.")
    return variable.model_copy(update={"required": not given and variable.required})


def _templates() -> Any:
    try:
        from llmtower import templates
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise PromptUnusableError(_NEEDS) from error
    return templates


class LoadedPrompt:
    """One version of a prompt. It never changes: ask `llmtower.prompt` again to get what its label points to by then."""

    def __init__(self, name: str, version: str, prompt: Prompt, *, source: Source, label: str = "", strict: bool = True) -> None:
        self.name, self.version, self.label, self.source = name, version, label, source
        self._prompt, self._strict = prompt, strict
        self._defaults = {title: one.default for title, one in prompt.variables.items() if not one.required}
        self._renderers: list[Callable[[Mapping[str, Any]], str]] | None = None

    def __repr__(self) -> str:
        return f"<prompt {self.name}@{self.version} from {self.source}>"

    @property
    def form(self) -> Literal["text", "chat"]:
        """Whether `render` gives a text or messages."""
        return self._prompt.form

    @property
    def parameters(self) -> dict[str, Any]:
        """Model and parameters to ask it with, as they were pushed."""
        return dict(self._prompt.parameters)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Tools to ask it with, as they were pushed."""
        return list(self._prompt.tools)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what `render` takes."""
        return tuple(self._prompt.variables)

    def compile(self) -> None:
        """Compile its templates. Raises PromptUnusableError."""
        if self._renderers is None:
            self._renderers = [_renderer(source, f"{self.name}@{self.version}") for source in self._prompt.templates()]

    def render(self, /, **values: Any) -> Rendered:
        """Fill the variables in. Raises PromptUnusableError for one that is missing, unknown or of another type, and at a bound."""
        given = {**self._defaults, **values}
        if self._strict:
            self._check(given)
        self.compile()
        renderers = self._renderers or []
        if self._prompt.form == "text":
            return renderers[0](given)
        return [{"role": message.role, "content": render(given)} for message, render in zip(self._prompt.messages, renderers, strict=True)]

    def _check(self, given: Mapping[str, Any]) -> None:
        variables = self._prompt.variables
        if given.keys() != variables.keys():
            missing, extra = sorted(variables.keys() - given.keys()), sorted(given.keys() - variables.keys())
            said = [f"needs {', '.join(missing)}" if missing else "", f"takes no {', '.join(extra)}" if extra else ""]
            takes = f" (it takes {', '.join(variables)})" if variables else " (it takes none)"
            raise PromptUnusableError(f"{self.name}@{self.version} {' and '.join(filter(None, said))}{takes}.")
        for title, value in given.items():
            if not fits(variables[title], value) and not (value is None and not variables[title].required):
                kind = type(value).__name__
                raise PromptUnusableError(f"{self.name}@{self.version}: {title} is to be a {variables[title].type}, not a {kind}.")


def _renderer(source: str, title: str) -> Callable[[Mapping[str, Any]], str]:
    if "{" not in source:
        return lambda _: source
    templates = _templates()
    try:
        template = templates.compile_template(source, where=title)
    except templates.TemplateRefusedError as error:
        raise PromptUnusableError(f"{error}.") from error

    def render(values: Mapping[str, Any]) -> str:
        try:
            return str(templates.render_template(template, values))
        except templates.RenderError as error:
            raise PromptUnusableError(f"{title} cannot be rendered: {error}.") from error

    return render


Fallback = str | list[dict[str, str]] | Prompt
"""What an application uses while neither registry nor cache has a prompt: a template, messages of templates, or a whole prompt."""


def fallback_prompt(name: str, fallback: Fallback) -> LoadedPrompt:
    """Make a prompt of what the code gives; it takes variables that it does not use, since the registry's version may use them."""
    if isinstance(fallback, str):
        prompt = Prompt(text=fallback)
    elif isinstance(fallback, Prompt):
        prompt = fallback
    else:
        prompt = Prompt(form="chat", messages=tuple(Message.model_validate(message) for message in fallback))
    return LoadedPrompt(name, "fallback", prompt, source="fallback", strict=False)
