"""Whatever comes, in whatever form: an answer, never a fault; and what is taken is what the worker can read."""

from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.intake import Kind, take
from llmtower_processors.otel.model import UnreadableError
from llmtower_schemas.codec import Malformed, decode_line
from llmtower_schemas.settings import Settings
from tests.otel.exports import NOW_NS, PARENT, as_json, logs, span, traces
from tests.otel.test_dialects import DIALECTS, SEMCONV_37

EVALUATED = SEMCONV_37 | {"gen_ai.evaluation.name": "n", "gen_ai.evaluation.score.value": 0.5}
NAMES = ("gen_ai.evaluation.result", "gen_ai.user.message", "gen_ai.choice", "gen_ai.client.inference.operation.details")
REQUESTS: list[tuple[Kind, Any]] = [
    *(("spans", traces([span(given, events=events, parent_id=PARENT, code=2)])) for given, events in DIALECTS.values()),
    ("logs", logs([{"name": name, "body": {"content": "x"}, "attributes": EVALUATED} for name in NAMES])),
]
STRANGE: tuple[Any, ...] = (
    *(None, 1, -1, 1.5, True, "x", "", [], {}, [None], [[]], {"a": 1}),
    *("9" * 30, 1e300, 1 << 63, (1 << 64) - 1, {"intValue": "9" * 30}, {"intValue": str(1 << 63)}, {"doubleValue": "NaN"}),
    *({"stringValue": 5}, {"stringValue": '[{"role":1}]'}, {"stringValue": '{"model":[1]}'}, {"bytesValue": ["x"]}, {"boolValue": "x"}),
    *({"kvlistValue": {"values": [{}]}}, {"arrayValue": {"values": [{"stringValue": "x"}, 7]}}),
)
WRITE = content_writer(Settings())


def strange(value: Any, chance: Random) -> Any:
    """Give JSON of which some parts are left out and some are something else."""
    if chance.random() < 0.03:
        return chance.choice(STRANGE)
    if isinstance(value, dict):
        return {name: strange(item, chance) for name, item in value.items() if chance.random() > 0.01}
    return [strange(item, chance) for item in value] if isinstance(value, list) else value


def taken(kind: Kind, body: bytes, *, is_json: bool) -> None:
    try:
        found = take(kind, body, is_json=is_json, project="p", now_ns=NOW_NS, write=WRITE)
    except UnreadableError:
        return
    assert not [line for line in found.lines if isinstance(decode_line(line.raw), Malformed)]


@pytest.mark.parametrize(("kind", "request_"), REQUESTS)
@settings(max_examples=60, derandomize=True)
@given(chance=st.randoms(use_true_random=False), changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=3))
def test_strange_exports_are_answered(kind: Kind, request_: Any, chance: Random, changes: list[tuple[float, int]]) -> None:
    taken(kind, orjson.dumps(strange(orjson.loads(as_json(request_)), chance)), is_json=True)
    body = bytearray(request_.SerializeToString())
    for place, byte in changes:
        body[int(place * len(body))] = byte
    taken(kind, bytes(body), is_json=False)
