"""Prompts as values: immutable numbered versions and the labels that point to them, in the topic `llmtower.registry`.

A version is entry `prompt/<name>` number N of chains.py, so its number is settled there; a label is chain `label/<name>/<label>`, whose
entries are its moves. Names may hold slashes, labels may not.
"""

import hashlib
import unicodedata
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtower_schemas.chains import Entry

PROMPT: Final = "prompt/"
LABEL: Final = "label/"
LATEST: Final = "latest"
"""Always the newest version; nobody moves it."""
MAX_BYTES: Final = 1_048_576
"""Of one encoded version: what Kafka takes as one record by default."""
MAX_NAME: Final = 200
EXPERIMENT: Final = "experiment"
"""Environment of the calls of `prompts test`."""

Type = Literal["string", "integer", "number", "boolean", "list", "object", "any"]
Role = Literal["system", "developer", "user", "assistant"]


def _plain(value: str, *, slashes: bool) -> str:
    text = unicodedata.normalize("NFC", value)
    odd = [letter for letter in text if unicodedata.category(letter)[0] == "C" or letter in "@\\" or (letter == "/" and not slashes)]
    parts = text.split("/")
    if odd or not all(parts) or any(part in (".", "..") or part != part.strip() for part in parts) or len(text) > MAX_NAME:
        rule = "letters, digits, spaces and marks other than @ and \\" + (", parts between slashes" if slashes else ", no slash")
        raise ValueError(f"is no name: use 1 to {MAX_NAME} {rule}")
    return text


def prompt_name(value: str) -> str:
    """Check and normalise a prompt's name. Raises ValueError."""
    return _plain(value, slashes=True)


def label_name(value: str) -> str:
    """Check and normalise a label. Raises ValueError."""
    return _plain(value, slashes=False)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Variable(_Value):
    """What a template is given; without a default it must be given."""

    type: Type = "string"
    default: Any = None
    required: bool = True
    description: str = Field("", max_length=2_000)


class Message(_Value):
    """One message of a chat prompt; `content` is a template."""

    role: Role
    content: str


class Prompt(_Value):
    """What one version says: a text or a chat, and how it is to be asked."""

    form: Literal["text", "chat"] = "text"
    text: str = ""
    messages: tuple[Message, ...] = ()
    variables: dict[Annotated[str, Field(pattern=r"^[^\W\d]\w*$", max_length=100)], Variable] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Model and its parameters (`model`, `temperature` …), handed to the application as they are."""
    tools: tuple[dict[str, Any], ...] = ()
    author: str = Field("", max_length=256)
    note: str = Field("", max_length=2_000)
    """What the prompt is for."""
    message: str = Field("", max_length=2_000)
    """What this version changes."""

    @model_validator(mode="after")
    def _one_form(self) -> "Prompt":
        if (self.form == "chat") != bool(self.messages) or (self.form == "chat" and self.text):
            raise ValueError("a chat prompt has messages and no text, a text prompt has text and no messages")
        return self

    def templates(self) -> list[str]:
        """Give its templates in order."""
        return [message.content for message in self.messages] if self.form == "chat" else [self.text]

    def sha256(self) -> str:
        """Hash what it says: without author, note and message."""
        said = self.model_dump(mode="json", exclude={"author", "note", "message"})
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Version(_Value):
    """A prompt under its name and number."""

    name: Annotated[str, AfterValidator(prompt_name)]
    number: int = Field(ge=1)
    sha256: str
    at_ms: int = 0
    prompt: Prompt

    @property
    def title(self) -> str:
        """`support/answer@7`."""
        return f"{self.name}@{self.number}"


class Move(_Value):
    """A label was moved; what it pointed to before is what the move before says."""

    version: int = Field(ge=1)
    action: Literal["promote", "rollback"] = "promote"
    by: str = Field("", max_length=256)
    key_id: str = Field("", max_length=32)
    """The API key that allowed it; empty where none was needed."""
    note: str = Field("", max_length=2_000)


def encode_prompt(prompt: Prompt) -> bytes:
    """Write the value of a version's record. Raises ValueError when it is too large for one."""
    value = orjson.dumps({"sha256": prompt.sha256(), **prompt.model_dump(mode="json", exclude_defaults=True)})
    if len(value) > MAX_BYTES:
        raise ValueError(f"it takes {len(value):,} bytes, a version may take {MAX_BYTES:,}: shorten it, or fill long texts in as variables")
    return value


def decode_version(entry: Entry) -> Version | None:
    """Read a version; None for one that cannot be read, or whose content is not what its hash says."""
    try:
        raw = orjson.loads(entry.value)
        prompt = Prompt.model_validate(raw)
        found = Version(name=entry.chain.removeprefix(PROMPT), number=entry.number, sha256=raw["sha256"], at_ms=entry.at_ms, prompt=prompt)
    except (ValueError, ValidationError, KeyError, TypeError):
        return None
    return found if found.sha256 == prompt.sha256() else None


def encode_move(move: Move) -> bytes:
    """Write the value of a move's record."""
    return move.model_dump_json(exclude_defaults=True).encode()


def decode_move(entry: Entry) -> Move | None:
    """Read a move; None for one that cannot be read."""
    try:
        return Move.model_validate_json(entry.value)
    except ValidationError:
        return None


def split_title(text: str) -> tuple[str, int | None]:
    """Give name and number of `support/answer@7` or `support/answer`. Raises ValueError."""
    name, at, number = text.rpartition("@")
    if not at:
        return prompt_name(text), None
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"{number!r} is no version: write name@7")
    return prompt_name(name), int(number)
