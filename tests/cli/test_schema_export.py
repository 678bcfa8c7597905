"""The committed contract is the one the models give."""

from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from llmtower_schemas.events import EVENTS
from llmtower_schemas.export import TOPIC_OF, asyncapi, documents, json_schema

EXPORTED = Path(__file__).parent.parent.parent / "schemas" / "exported"


@pytest.mark.parametrize("name", documents())
def test_the_committed_file_is_current(name: str) -> None:
    assert (EXPORTED / name).read_text("utf-8") == documents()[name], "run: llmtower schema export"


def test_the_schema_itself_is_valid_and_takes_what_the_models_take() -> None:
    Draft202012Validator.check_schema(json_schema())
    validator = Draft202012Validator(json_schema())
    deploy = {"type": "deploy", "app": "a", "deploy_id": "0" * 8 + "-0000-7000-8000-" + "0" * 12, "at_ns": 1, "version": "1"}
    assert validator.is_valid(deploy)
    assert validator.is_valid(deploy | {"a_field_of_tomorrow": 1})
    assert not validator.is_valid(deploy | {"at_ns": -1})
    assert not validator.is_valid({key: value for key, value in deploy.items() if key != "app"})


def test_every_event_travels_on_one_topic_and_every_reference_resolves() -> None:
    assert TOPIC_OF.keys() == EVENTS.keys()
    document = asyncapi()
    assert orjson.loads(orjson.dumps(document)) == document
    for channel in document["channels"].values():
        for name in channel["messages"]:
            assert name in document["components"]["messages"]
