"""The committed contract is the one the models give."""

from importlib import resources
from pathlib import Path

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator

from llmtower_processors.alerts.load import load_rules, rules_schema, schema_text
from llmtower_processors.judge.rubric import rubric_schema
from llmtower_schemas.events import EVENTS
from llmtower_schemas.export import TOPIC_OF, asyncapi, documents, json_schema

EXPORTED = Path(__file__).parent.parent.parent / "schemas" / "exported"
DOCUMENTS = documents() | {"alerts.schema.json": schema_text(), "rubric.schema.json": rubric_schema()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_file_is_current(name: str) -> None:
    assert (EXPORTED / name).read_text("utf-8") == DOCUMENTS[name], "run: llmtower schema export"


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


def test_the_schema_of_alert_rules_is_valid_and_takes_the_shipped_rules() -> None:
    Draft202012Validator.check_schema(rules_schema())
    validator = Draft202012Validator(rules_schema())
    shipped = yaml.safe_load((resources.files("llmtower_processors.alerts") / "default_rules.yaml").read_text("utf-8"))
    assert list(validator.iter_errors(shipped)) == []
    assert len(shipped["rules"]) == len(load_rules().rules)
    shipped["rules"][0]["forr"] = "5m"
    assert not validator.is_valid(shipped)
