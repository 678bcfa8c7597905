"""The models of `llmtower_schemas.events` compiled to msgspec structs, which are read ten times faster.

The translation starts from the JSON Schema that pydantic writes, so a field is declared once, in `events.py`. A struct accepts what its
model accepts *without* coercion and without unknown fields; identifiers are checked for their length only (see `wire.py`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

import msgspec
from pydantic import BaseModel, TypeAdapter

from llmtower_schemas import events

NOTHING = msgspec.Raw(b"")
"""Free-form content that was not sent; content that was sent stays the JSON text it is, neither parsed nor written again."""

_ID_LENGTH = 36
_SCALARS: Mapping[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_MODELS: Mapping[str, Any] = TypeAdapter[Any](events.Event).json_schema(ref_template="{model}")["$defs"]
_COMPILED: dict[str, type[msgspec.Struct]] = {}


def _struct(name: str) -> type[msgspec.Struct]:
    """Compile a model, once."""
    if name not in _COMPILED:
        fields: Mapping[str, Any] = _MODELS[name]["properties"]
        required = _MODELS[name].get("required", ())
        _COMPILED[name] = msgspec.defstruct(
            name,
            [
                (field, _type(of), msgspec.NODEFAULT if field in required else _default(of))
                for field, of in fields.items()
                if field != "type"
            ],
            tag_field="type" if "type" in fields else None,
            tag=fields["type"]["const"] if "type" in fields else None,
            forbid_unknown_fields=True,
            omit_defaults=True,
            kw_only=True,
            gc=False,
        )
    return _COMPILED[name]


def _type(schema: Mapping[str, Any]) -> Any:
    """Translate a piece of JSON Schema, as pydantic writes it, to the type that msgspec checks."""
    if "$ref" in schema:
        target = schema["$ref"]
        return _struct(target) if "properties" in _MODELS[target] else _type(_MODELS[target])
    if "anyOf" in schema:
        options = tuple(None if option == {"type": "null"} else _type(option) for option in schema["anyOf"])
        return msgspec.Raw if msgspec.Raw in options else Union[options]  # noqa: UP007 - made at run time
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    kind = schema.get("type")
    if kind is None:
        return msgspec.Raw
    if kind == "array":
        return list.__class_getitem__(_type(schema["items"]))
    if kind == "object":
        values = schema.get("additionalProperties", True)
        if values is True:
            return msgspec.Raw
        return dict.__class_getitem__((_scalar(str, schema.get("propertyNames", {})), _type(values)))
    return _scalar(_SCALARS[kind], schema)


def _scalar(scalar: type, schema: Mapping[str, Any]) -> Any:
    if "pattern" in schema:
        return Annotated[scalar, msgspec.Meta(min_length=_ID_LENGTH, max_length=_ID_LENGTH)]
    limits = {"ge": schema.get("minimum"), "le": schema.get("maximum"), "max_length": schema.get("maxLength")}
    if "exclusiveMaximum" in schema:
        limits["le"] = schema["exclusiveMaximum"] - 1
    if "exclusiveMinimum" in schema:
        limits["ge"] = schema["exclusiveMinimum"] + 1
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[scalar, msgspec.Meta(**given)] if given else scalar


def _default(schema: Mapping[str, Any]) -> Any:
    if _type(schema) is msgspec.Raw:
        return NOTHING
    return schema["default"] if "default" in schema else [] if schema["type"] == "array" else {}


def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = _MODELS[model.__name__]["properties"]
    return fields


STRUCTS: Mapping[type[BaseModel], type[msgspec.Struct]] = {model: _struct(model.__name__) for model in events.EVENTS.values()}
"""The struct of every event's model."""

MODELS: Mapping[type[msgspec.Struct], type[BaseModel]] = {struct: model for model, struct in STRUCTS.items()}
"""The model of every event's struct."""

USAGE = _COMPILED[events.Usage.__name__]
STRANGE_USAGE = msgspec.defstruct(
    "StrangeUsage", [("model_extra", dict[str, Any])], bases=(USAGE,), forbid_unknown_fields=True, kw_only=True, gc=False
)
"""A usage with buckets that this version does not know, under the name that the model has for them."""

DOCUMENT = _COMPILED[events.RetrievedDocument.__name__]

ID_FIELDS: Mapping[type[msgspec.Struct], tuple[str, ...]] = {
    STRUCTS[model]: tuple(name for name, of in _fields(model).items() if "'pattern'" in str(of)) for model in STRUCTS
}
"""The fields of each struct that must be UUIDs (or None)."""

OBJECT_FIELDS: Mapping[type[msgspec.Struct], tuple[str, ...]] = {
    STRUCTS[model]: tuple(name for name, of in _fields(model).items() if "'additionalProperties': True" in str(of)) for model in STRUCTS
}
"""The fields of each struct that must be JSON objects with any content."""
