"""A prompt as a file of a git folder: YAML between `---` lines, then a text, or messages under lines `system:`, `user:`, `assistant:`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from llmtower_processors.errors import NotConfigured
from llmtower_schemas.prompts import Message, Prompt, Role, Variable, prompt_name

SUFFIX: Final = ".md"
_ROLE: Final = re.compile(r"(system|developer|user|assistant):[ \t]*")
_FRONT: Final = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEYS: Final = ("variables", "parameters", "tools", "author", "note")


class PromptFileError(NotConfigured):
    """A file is no prompt; the message names it and the place."""


def parse_prompt(text: str, where: str) -> Prompt:
    """Read a file's text. Raises PromptFileError."""
    front, body = _split(text, where)
    if unknown := sorted(front.keys() - set(_KEYS)):
        raise PromptFileError(f"{where}: {', '.join(map(str, unknown))} is no key of a prompt file. There are: {', '.join(_KEYS)}.")
    variables = front.get("variables") or {}
    if not isinstance(variables, dict):
        raise PromptFileError(f"{where}: variables are to be names with a type, `question: string`.")
    messages = _messages(body)
    fields: dict[str, Any] = {name: front[name] for name in _KEYS if front.get(name) is not None and name != "variables"}
    form: dict[str, Any] = {"form": "chat", "messages": messages} if messages else {"text": _without_last_break(body)}
    try:
        made = {str(name): Variable.model_validate({"type": one} if isinstance(one, str) else one or {}) for name, one in variables.items()}
        return Prompt(**form, variables=made, **fields)
    except (ValidationError, TypeError) as error:
        raise PromptFileError(f"{where}: {_fault(error)}.") from error


def file_text(prompt: Prompt) -> str:
    """Write a prompt as a file that reads back as the same."""
    front: dict[str, Any] = {
        name: _plain(getattr(prompt, name)) for name in ("parameters", "tools", "author", "note") if getattr(prompt, name)
    }
    variables = {name: _variable(one) for name, one in prompt.variables.items()}
    if variables:
        front["variables"] = variables
    head = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n" if front else ""
    if prompt.form == "text":
        return f"{head}{prompt.text}\n"
    return head + "\n".join(f"{message.role}:\n{message.content}\n" for message in prompt.messages)


def read_prompt(path: Path) -> Prompt:
    """Read a file. Raises PromptFileError."""
    try:
        return parse_prompt(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise PromptFileError(f"{path}: is not UTF-8.") from error
    except OSError as error:
        raise PromptFileError(f"{path} cannot be read ({error.strerror}).") from error


def read_folder(folder: Path) -> dict[str, Prompt]:
    """Read every `.md` file below a folder; its path is its name. Raises PromptFileError, also for two files of one name."""
    if not folder.is_dir():
        raise PromptFileError(f"{folder} is no folder. Name the one that holds your prompts, support/answer.md in it is support/answer.")
    found: dict[str, Prompt] = {}
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        relative = path.relative_to(folder)
        if path.name.lower() == "readme.md" or any(part.startswith(".") for part in relative.parts):
            continue
        try:
            name = prompt_name(relative.with_suffix("").as_posix())
        except ValueError as error:
            raise PromptFileError(f"{path}: {error}.") from error
        if name in found:
            raise PromptFileError(f"{path}: another file gives the prompt {name} too.")
        found[name] = read_prompt(path)
    return found


def _split(text: str, where: str) -> tuple[Mapping[str, Any], str]:
    match = _FRONT.match(text)
    if match is None:
        return {}, text
    try:
        front = yaml.safe_load(match[1]) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise PromptFileError(
            f"{where}{f', line {mark.line + 2}' if mark else ''}: what stands between the --- lines is no YAML."
        ) from error
    if not isinstance(front, dict):
        raise PromptFileError(f"{where}: what stands between the --- lines is to be keys with values.")
    return front, text[match.end() :]


def _messages(body: str) -> tuple[Message, ...]:
    """Cut a body at its lines of roles; none when it does not begin with one."""
    found: list[tuple[Role, list[str]]] = []
    for line in body.splitlines(keepends=True):
        if match := _ROLE.fullmatch(line.rstrip("\r\n")):
            found.append((match[1], []))  # type: ignore[arg-type]  # the pattern names the roles
        elif found:
            found[-1][1].append(line)
        elif line.strip():
            return ()
    return tuple(Message(role=role, content="".join(lines).strip("\r\n")) for role, lines in found)


def _without_last_break(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _variable(one: Variable) -> Any:
    said = one.model_dump(mode="json", exclude_defaults=True, exclude={"required"}) | {"type": one.type}
    return one.type if said == {"type": one.type} else said


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fault(error: Exception) -> str:
    """Say what is wrong without repeating what stands there."""
    if not isinstance(error, ValidationError):
        return "its keys are to be names"
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'the prompt'}: {fault['msg']}"
