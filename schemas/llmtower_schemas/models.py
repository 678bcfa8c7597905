"""Models: each is a chain `model/<id>` of the registry; every entry holds all that is known of it, and what was done to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmtower_schemas.chains import Entry

PREFIX: Final = "model/"
Stage = Literal["candidate", "production", "retired"]
STAGES: Final[tuple[Stage, ...]] = ("candidate", "production", "retired")


class Model(BaseModel):
    """A model or fine-tune as somebody registered it. Figures of its traffic are never here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]+$")
    """The id by which it is called: `request_model` of its calls."""
    provider: str = Field("", max_length=256)
    base: str = Field("", max_length=500)
    """The model it was trained from."""
    dataset: str = Field("", max_length=120)
    """`name@version` of what it was trained on."""
    dataset_sha256: str = Field("", max_length=64)
    parameters: dict[str, str] = Field(default_factory=dict)
    job: str = Field("", max_length=500)
    owner: str = Field("", max_length=256)
    stage: Stage = "candidate"
    input_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    """US dollars per million input tokens."""
    output_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    """US dollars per million output tokens."""
    licence: str = Field("", max_length=2_000)
    note: str = Field("", max_length=2_000)
    action: Literal["register", "stage"] = "register"
    by: str = Field("", max_length=256)
    key_id: str = Field("", max_length=64)
    """The key that allowed it, where one was needed."""


def chain_of(model: str) -> str:
    """Give the name of a model's chain."""
    return f"{PREFIX}{model}"


def encode_model(model: Model) -> bytes:
    """Write the value of its entry."""
    return model.model_dump_json().encode()


def read_model(entry: Entry) -> Model | None:
    """Read an entry of a model's chain; None for what this version does not understand."""
    try:
        found = Model.model_validate_json(entry.value)
    except ValidationError:
        return None
    return found if chain_of(found.model) == entry.chain else None


Kind = Literal["base", "fine-tune", "custom", "endpoint", "tag"]


@dataclass(frozen=True, slots=True)
class Recognised:
    """What an id says by its form: a fine-tune of a provider, a custom or imported model, an endpoint, a local tag; and of which base."""

    kind: Kind
    base: str = ""


_PATTERNS: Final[tuple[tuple[str, Kind], ...]] = (
    (r"ft:(?P<base>[^:]+):.*", "fine-tune"),  # OpenAI, Mistral: ft:BASE:ORGANISATION:NAME:ID
    (r"(?P<base>[^:]+):ft-.+", "fine-tune"),  # OpenAI before 2023: BASE:ft-ORGANISATION:NAME
    (r"(?P<base>.+)\.ft-[0-9a-f]{8,}.*", "fine-tune"),  # Azure OpenAI: BASE.ft-HASH
    (r"arn:aws[\w-]*:bedrock:[^:]*:\d*:custom-model/(?P<base>[^/]+)/.+", "fine-tune"),
    (r"arn:aws[\w-]*:bedrock:[^:]*:\d*:(?:custom-model-deployment|provisioned-model|imported-model)/.+", "custom"),
    (r"arn:aws[\w-]*:sagemaker:.*:endpoint/.+", "endpoint"),
    (r"projects/[^/]+/locations/[^/]+/endpoints/.+", "endpoint"),  # Vertex AI
    (r"projects/[^/]+/locations/[^/]+/models/.+", "custom"),
    (r"tunedModels/.+", "fine-tune"),  # Gemini API
    (r"accounts/(?!fireworks/)[^/]+/(?:models|deployedModels)/.+", "custom"),  # Fireworks
)
_FORMS: Final = tuple((re.compile(pattern), kind) for pattern, kind in _PATTERNS)
_TAG: Final = re.compile(r"(?P<base>[^:]+):[\w.-]+")


def recognise(provider: str, model: str) -> Recognised:
    """Say what an id is by its form alone."""
    for pattern, kind in _FORMS:
        if found := pattern.fullmatch(model):
            return Recognised(kind, found.groupdict().get("base") or "")
    if provider == "ollama":
        found = _TAG.fullmatch(model)
        if "/" in model:
            return Recognised("custom", "")
        return Recognised("tag", found["base"] if found else model)
    return Recognised("base")


def base_of(model: str, provider: str, registered: Mapping[str, Model]) -> str:
    """Give the base of a model: as registered, else as its id says, else ''."""
    known = registered.get(model)
    return known.base if known and known.base else recognise(provider, model).base
