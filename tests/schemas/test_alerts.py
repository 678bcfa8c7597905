"""Lines of the topic `llmtower.alerts`: what a newer version wrote is read by an older one, so that a leader taking over loses nothing."""

import orjson

from llmtower_schemas.alerts import Change, Transition, decode_entries, encode_entries

TRANSITION = Transition(
    transition_id="t1",
    dedup_key="d1",
    sequence=1,
    rule="error_rate",
    from_state="ok",
    to_state="firing",
    cause="breach",
    window_start_us=1,
    window_end_us=2,
    at_us=3,
    since_us=3,
    coincident=(Change(kind="deploy", at_us=2, what="chat 1.4.2"),),
)


def test_a_transition_with_a_kind_of_change_that_is_not_known_yet_is_read() -> None:
    newer = orjson.loads(encode_entries([TRANSITION]))
    newer["coincident"].append({"kind": "quota", "at_us": 1, "what": "gpt-4o", "of": "later"})
    (read,) = decode_entries(orjson.dumps(newer))
    assert isinstance(read, Transition)
    assert [(change.kind, change.what) for change in read.coincident] == [("deploy", "chat 1.4.2"), ("quota", "gpt-4o")]
    assert decode_entries(encode_entries([read])) == [read], "and handed on as it is"
