"""The contract for other languages, generated from the models: JSON Schema per event and an AsyncAPI 3.1 description of the topics."""

from typing import Any

import orjson
from pydantic import TypeAdapter

from llmtower_schemas.events import EVENTS, SCHEMA_VERSION, Event
from llmtower_schemas.topics import CALLS, SIGNALS, TOPICS

TOPIC_OF: dict[str, str] = {
    "request": CALLS,
    "response": CALLS,
    "step": CALLS,
    "feedback": SIGNALS,
    "score": SIGNALS,
    "content": SIGNALS,
    "deploy": SIGNALS,
    "heartbeat": SIGNALS,
}
"""Which topic carries which event."""

_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["producer", "seq", "count", "schema"],
    "properties": {
        "producer": {"type": "string", "description": "id of the producing process's run"},
        "seq": {"type": "string", "pattern": "^[0-9]+$", "description": "number of the first event in the envelope"},
        "count": {"type": "string", "pattern": "^[0-9]+$", "description": "number of events in the envelope"},
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "project": {"type": "string"},
        "app": {"type": "string"},
    },
}


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of one event, that is of one line of an envelope."""
    schema = TypeAdapter[Any](Event).json_schema(ref_template="#/$defs/{model}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Llmtower event", **schema}


def asyncapi() -> dict[str, Any]:
    """Give the AsyncAPI 3.1 document: one channel per topic, one message per event type."""
    channels = {
        topic: {
            "address": topic,
            "description": TOPICS[topic].purpose,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name, of in TOPIC_OF.items() if of == topic},
        }
        for topic in (CALLS, SIGNALS)
    }
    messages = {
        name: {
            "name": name,
            "contentType": "application/x-ndjson",
            "description": f"One line of an envelope. {(model.__doc__ or '').strip()}",
            "headers": _HEADERS,
            "payload": {"$ref": f"events.schema.json#/$defs/{model.__name__}"},
        }
        for name, model in EVENTS.items()
    }
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Llmtower",
            "version": str(SCHEMA_VERSION),
            "description": "One Kafka record is one envelope of 1..N events as NDJSON; unknown fields are kept, never rejected.",
        },
        "channels": channels,
        "operations": {
            f"send-{topic.rpartition('.')[2]}": {"action": "send", "channel": {"$ref": f"#/channels/{topic}"}} for topic in channels
        },
        "components": {"messages": messages},
    }


def documents() -> dict[str, str]:
    """Give every generated file: its name and its text."""
    return {name: _text(document) for name, document in (("events.schema.json", json_schema()), ("asyncapi.json", asyncapi()))}


def _text(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
