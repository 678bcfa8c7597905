"""Edge: rows of a dataset as cases for `prompts test`, with what was retrieved for each answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from llmtower_processors.datasets.clean import Redact, cleaned
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.exports.examples import Item, Unusable
from llmtower_processors.datasets.exports.formats import FORMS, line
from llmtower_processors.datasets.exports.write import items_of
from llmtower_processors.prompts.cases import Row
from llmtower_schemas.datasets import Manifest

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PAGE: Final = 500
_SECOND: Final = timedelta(seconds=1)
_RETRIEVED: Final = """
SELECT toString(call_id), retrieved FROM contents
WHERE project = {project:String} AND kind = 'call' AND started_at >= {first:DateTime64(6)} AND started_at <= {last:DateTime64(6)}
    AND call_id IN {calls:Array(UUID)} AND retrieved != ''
"""


def dataset_rows(client: "Client", manifest: Manifest, redact: Redact) -> Iterator[Row]:
    """Give the rows that ask something, in the order of the dataset, which chance drew. Raises DatasetError where none does."""
    usable, left_out = 0, Counter[str]()
    for items in items_of(client, manifest, page=PAGE):
        found = _retrieved(client, manifest, items, redact)
        for item in items:
            try:
                row = _row(manifest, item, found.get(item.call_id, []))
            except Unusable as reason:
                left_out[str(reason)] += 1
                continue
            usable += 1
            yield row
    if not usable:
        why = "; ".join(f"{count:,} x {reason}" for reason, count in sorted(left_out.items()))
        gone = f"ClickHouse has no row of it ({manifest.counts.kept:,} were built): is this the ClickHouse where it was built?"
        raise DatasetError(f"{manifest.reference} gives no case: {why or gone}")


def _row(manifest: Manifest, item: Item, documents: list[Any]) -> Row:
    made = line(FORMS["cases"], item)
    variables: dict[str, Any] = made.pop("variables")
    call = {
        name: getattr(item, name) for name in ("input", "output", "correction", "app", "request_model", "prompt_name", "prompt_version")
    }
    more = made | ({"documents": documents} if documents else {})
    return Row(f"{manifest.reference}, row {item.position}", variables, {**call, **more, **variables})


def _retrieved(client: "Client", manifest: Manifest, items: Sequence[Item], redact: Redact) -> dict[str, list[Any]]:
    """Look up what was retrieved for the calls: gone where their texts have expired."""
    times = [item.started_at for item in items]
    values = {
        "project": manifest.project,
        "first": min(times) - _SECOND,
        "last": max(times) + _SECOND,
        "calls": [item.call_id for item in items],
    }
    found = client.query(_RETRIEVED, parameters=values).result_rows
    return {str(call): _texts(orjson.loads(cleaned(text, redact))) for call, text in found}


def _texts(documents: Any) -> list[Any]:
    return [one["text"] for one in documents if isinstance(one, dict) and one.get("text")] if isinstance(documents, list) else []
