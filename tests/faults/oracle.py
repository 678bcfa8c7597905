"""What must be true at the end, whatever happened in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from llmtower_processors.audit.rollups import ROLLUPS, audit_rollup
from tests.faults.load import cost, journal, kind

_STORED = """
SELECT source, count(), uniqExact(producer_seq), sum(seq_cost) FROM
(
    SELECT 'calls' AS source, producer, producer_seq, cost_nano_usd AS seq_cost FROM calls
    UNION ALL SELECT 'requests', producer, producer_seq, 0 FROM requests
    UNION ALL SELECT 'dead_letters', producer, producer_seq, 0 FROM dead_letters
)
WHERE producer = {producer:String} GROUP BY source
"""
_SUMS = "sum(calls), sum(cost_nano_usd), sum(input_tokens), sum(output_tokens), sum(duration_us)"
_ROLLUPS = {
    "calls": "SELECT count(), sum(cost_nano_usd), sum(input_tokens), sum(output_tokens), sum(duration_us) FROM calls",
    "rollup_1m": f"SELECT {_SUMS} FROM rollup_1m",
    "rollup_1h": f"SELECT {_SUMS} FROM rollup_1h",
    "rollup_user_1h": "SELECT sum(calls), sum(cost_nano_usd), sum(total_tokens) FROM rollup_user_1h",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The books of one run: events acknowledged by Kafka, rows stored, and every way in which they disagree."""

    acknowledged: int
    stored: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing doubled, rollups exact."""
        return not self.faults


def stored(client: Client) -> int:
    """Give how many events are stored at present."""
    return int(
        str(client.command("SELECT (SELECT count() FROM calls) + (SELECT count() FROM requests) + (SELECT count() FROM dead_letters)"))
    )


def expected(journals: Sequence[Path]) -> int:
    """Give how many events the producers have begun to send; at the end all of them are acknowledged."""
    return sum(sent.count for path in journals for sent in journal(path)[0])


def judge(client: Client, journals: dict[str, Path]) -> Verdict:
    """Compare the producers' journals with the tables and the tables with their rollups."""
    faults: list[str] = []
    for producer, path in journals.items():
        faults += _judge_producer(client, producer, path)
    faults += _judge_rollups(client)
    faults += _judge_contents(client)
    return Verdict(expected(list(journals.values())), stored(client), tuple(faults))


def _judge_producer(client: Client, producer: str, path: Path) -> list[str]:
    begun, acknowledged = journal(path)
    missing = [sent.seq for sent in begun if sent.seq not in acknowledged]
    faults = [f"{producer}: {len(missing)} envelopes were never acknowledged; the run is no proof"] if missing else []
    sequence = [seq for sent in begun for seq in range(sent.seq, sent.seq + sent.count)]
    rows = client.query(_STORED, parameters={"producer": producer}).result_rows
    found = {str(source): (int(count), int(distinct), int(total)) for source, count, distinct, total in rows}
    for table in ("calls", "requests", "dead_letters"):
        wanted = [seq for seq in sequence if kind(seq) == table]
        total = sum(map(cost, wanted)) if table == "calls" else 0
        count, distinct, stored_cost = found.get(table, (0, 0, 0))
        if (count, distinct, stored_cost) != (len(wanted), len(wanted), total):
            lost, doubled = len(wanted) - distinct, count - distinct
            faults.append(f"{producer} {table}: {lost} lost, {doubled} doubled, cost {stored_cost} instead of {total}")
    return faults


def _judge_rollups(client: Client) -> list[str]:
    sums = {name: tuple(int(value or 0) for value in client.query(sql).result_rows[0]) for name, sql in _ROLLUPS.items()}
    calls = sums["calls"]
    wanted = {"rollup_1m": calls, "rollup_1h": calls, "rollup_user_1h": (calls[0], calls[1], calls[2] + calls[3])}
    faults = [f"{name} sums to {sums[name]}, calls to {total}" for name, total in wanted.items() if sums[name] != total]
    return faults + _judge_every_sum(client)


def _judge_every_sum(client: Client) -> list[str]:
    """All the other sums and buckets, key by key, by the audit's comparison (which has tests of its own)."""
    hours = [int(hour) for (hour,) in client.query("SELECT DISTINCT toUnixTimestamp(toStartOfHour(started_at)) FROM calls").result_rows]
    asked = [rollup for rollup in ROLLUPS if rollup.table in _ROLLUPS]
    return [f"{found.check}: {found.detail}" for rollup in asked for found in audit_rollup(client, rollup, sorted(hours))]


def _judge_contents(client: Client) -> list[str]:
    calls, contents = (int(str(client.command(f"SELECT count() FROM {table}"))) for table in ("calls", "contents"))
    return [] if calls == contents else [f"{contents} contents for {calls} calls"]
