"""What can be wrong, planted by hand, and what the audit must say of it."""

from collections.abc import Callable

from tests.integration.audit.world import FIRST, World, response

from llmtower_processors.runtime.model import Record
from llmtower_schemas.topics import CALLS

Plant = Callable[[World, list[Record]], None]


def missing_row(world: World, own: list[Record]) -> None:
    """A call is lost, its request, its contents and the rollups are not."""
    world.delete("calls", f"kafka_offset = {own[3].offset} AND kafka_partition = 0 AND event_index = 1")


def missing_rows_of_a_record(world: World, own: list[Record]) -> None:
    """All rows of a record are lost, its ledger row is not."""
    for table in ("calls", "requests", "steps", "contents"):
        world.delete(table, f"kafka_offset = {own[2].offset} AND kafka_partition = 0")


def missing_dead_letter(world: World, own: list[Record]) -> None:
    """A dead letter is lost with its bytes."""
    for table in ("dead_letters", "dead_letter_bytes"):
        world.delete(table, "1")


def missing_bytes(world: World, own: list[Record]) -> None:
    """A dead letter is there, its bytes are lost."""
    world.delete("dead_letter_bytes", "1")


def missing_record(world: World, own: list[Record]) -> None:
    """A record was stepped over: it has neither rows nor ledger."""
    missing_rows_of_a_record(world, own)
    world.delete("ledger", f"topic = '{CALLS}' AND offset = {own[2].offset} AND partition = 0")


def rows_without_ledger(world: World, own: list[Record]) -> None:
    """The ledger row of a stored record is lost."""
    world.delete("ledger", f"topic = '{CALLS}' AND offset = {own[4].offset} AND partition = 0")


def doubled_row(world: World, own: list[Record]) -> None:
    """The rows of one event stand twice."""
    for block in world.rows(own[1], "calls"):
        world.insert(type(block)(block.table, {name: column[:1] for name, column in block.columns.items()}))


def doubled_contents(world: World, own: list[Record]) -> None:
    """Only the contents of a record stand twice."""
    for block in world.rows(own[1], "contents"):
        world.insert(block)


def missing_contents(world: World, own: list[Record]) -> None:
    """Only the contents of one event of a record are lost."""
    world.delete("contents", f"kafka_offset = {own[1].offset} AND kafka_partition = 0 AND event_index = 1")


def doubled_ledger(world: World, own: list[Record]) -> None:
    """A ledger row stands twice."""
    world.insert(world.ledger(own[5]))


def doubled_envelope(world: World, own: list[Record]) -> None:
    """An envelope was sent twice, and stored twice."""
    again = Record(CALLS, 0, len(world.records.logs[CALLS, 0]), own[1].timestamp_ms, None, own[1].value, own[1].headers)
    world.records.logs[CALLS, 0].append(again)
    world.store([again])


def stored_duplicate(world: World, own: list[Record]) -> None:
    """An envelope was sent twice; the ledger calls it a duplicate, but its rows are there."""
    again = Record(CALLS, 0, len(world.records.logs[CALLS, 0]), own[1].timestamp_ms, None, own[1].value, own[1].headers)
    world.records.logs[CALLS, 0].append(again)
    for block in [*world.rows(again), world.ledger(again, duplicate=True)]:
        world.insert(block)


def orphan(world: World, own: list[Record]) -> None:
    """An envelope was dropped as a duplicate of one that nobody has."""
    lost = world.send([response(500, FIRST), response(501, FIRST)], producer="x")
    world.insert(world.ledger(lost, duplicate=True))


def _rollups(hours: int) -> dict[str, int]:
    """Give what is found where a row of `calls` is gone: every rollup that is made of it differs."""
    return dict.fromkeys(("rollup_1m", "rollup_user_1h", "rollup_models_1h"), hours)


PLANTED: dict[str, tuple[Plant, dict[str, int]]] = {
    "missing_row": (missing_row, {"missing_events": 1, **_rollups(1)}),
    "missing_rows_of_a_record": (
        missing_rows_of_a_record,
        {"missing_events": 4, **_rollups(2)},
    ),
    "missing_dead_letter": (missing_dead_letter, {"missing_events": 1}),
    "missing_bytes": (missing_bytes, {"missing_events": 1}),
    "missing_record": (
        missing_record,
        {"missing_records": 4, "missing_from_producers": 4, **_rollups(2)},
    ),
    "rows_without_ledger": (rows_without_ledger, {"rows_without_ledger": 4, "missing_from_producers": 4}),
    "missing_contents": (missing_contents, {"missing_events": 1}),
    "doubled_row": (doubled_row, {"doubled_rows": 1}),
    "doubled_contents": (doubled_contents, {"doubled_rows": 2}),
    "doubled_ledger": (doubled_ledger, {"doubled_ledger": 1}),
    "doubled_envelope": (doubled_envelope, {"doubled_envelopes": 4, "doubled_from_producers": 4}),
    "stored_duplicate": (stored_duplicate, {"rows_without_ledger": 4}),
}


def wrong_minute(world: World, own: list[Record]) -> None:
    """A minute of `rollup_1m` counts too much, and so does the hour fed by it."""
    world.client.command("INSERT INTO rollup_1m SELECT * FROM rollup_1m ORDER BY minute LIMIT 1")


def lost_minute(world: World, own: list[Record]) -> None:
    """A view missed an insert into `calls`."""
    world.delete("rollup_1m", f"minute = toDateTime({FIRST}, 'UTC')")


def wrong_money(world: World, own: list[Record]) -> None:
    """One nano-dollar too much in `rollup_1h`."""
    world.client.command("INSERT INTO rollup_1h (hour, project, cost_nano_usd) SELECT max(hour), 'default', 1 FROM rollup_1h")


def lost_user(world: World, own: list[Record]) -> None:
    """A user's hour is gone from `rollup_user_1h`."""
    world.delete("rollup_user_1h", f"user_id = 'user1' AND hour = toDateTime({FIRST}, 'UTC')")


ROLLUPS: dict[str, tuple[Plant, set[str]]] = {
    "wrong_minute": (wrong_minute, {"rollup_1m"}),
    "lost_minute": (lost_minute, {"rollup_1m", "rollup_1h"}),
    "wrong_money": (wrong_money, {"rollup_1h"}),
    "lost_user": (lost_user, {"rollup_user_1h"}),
}
