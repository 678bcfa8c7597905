"""Edge: the versions of datasets, in the registry; published last, so that a version is there whole or not at all."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from llmtower_processors.datasets.errors import DatasetError
from llmtower_schemas.chains import Chains
from llmtower_schemas.datasets import ERASURE, PREFIX, Erasure, Manifest, chain_of, encode_manifest, read_manifest, read_reference
from llmtower_schemas.registry_log import RegistryLog, TakenError, append

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_TRIES: Final = 5


class Shelf:
    """Every dataset and its versions, as far as the registry was read."""

    def __init__(self, log: RegistryLog) -> None:
        self._log = log
        self._chains = Chains(PREFIX, ERASURE)

    async def read(self) -> None:
        """Read on to the present end. Raises RegistryUnavailable."""
        self._chains.learn(await self._log.read())

    def all(self) -> list[Manifest]:
        """Give every version, by name, oldest first."""
        return [found for name in self._chains.names(PREFIX) for entry in self._chains.entries(name) if (found := read_manifest(entry))]

    def versions(self, name: str) -> list[Manifest]:
        """Give the versions of one dataset."""
        return [found for entry in self._chains.entries(chain_of(name)) if (found := read_manifest(entry))]

    def get(self, reference: str) -> Manifest:
        """Give `name@version`, or the last version of `name`. Raises DatasetError, which says what there is."""
        try:
            name, version = read_reference(reference)
        except ValueError as error:
            raise DatasetError(str(error)) from None
        there = self.versions(name)
        found = [one for one in there if version in (None, one.version)]
        if found:
            return found[-1]
        if there:
            raise DatasetError(f"Dataset {name} has no version {version}; the last is {there[-1].version}.")
        others = ", ".join(sorted({one.name for one in self.all()})[:10])
        raise DatasetError(f"There is no dataset {name}." + (f" There are: {others}." if others else " Build one: llmtower datasets build"))

    async def publish(self, name: str, make: Callable[[int], Manifest]) -> Manifest:
        """Write a version under the next free number. Raises RegistryUnavailable: then nobody knows whether it is there."""
        for _ in range(_TRIES):
            head = self._chains.head(chain_of(name))
            number = head.number if head else 0
            try:
                entry = await append(self._log, self._chains, chain_of(name), encode_manifest(make(number + 1)), after=number)
            except TakenError:
                continue
            found = read_manifest(entry)
            assert found is not None  # noqa: S101 - we wrote it
            return found
        raise DatasetError(f"Others write versions of {name} all the time: {_TRIES} tries to write the next one failed. Try again.")

    async def record_erasure(self, erasure: Erasure) -> None:
        """Write down that texts left a dataset. Raises DatasetError, RegistryUnavailable."""
        chain, value = f"{ERASURE}{erasure.dataset}", erasure.model_dump_json().encode()
        for _ in range(_TRIES):
            head = self._chains.head(chain)
            try:
                await append(self._log, self._chains, chain, value, after=head.number if head else 0)
            except TakenError:
                continue
            return
        raise DatasetError(f"Others erase from {erasure.dataset} all the time: nothing was written down, and nothing erased. Try again.")


_DIFFERENCE: Final = """
SELECT countIf(of_a AND of_b), countIf(of_a AND NOT of_b), countIf(of_b AND NOT of_a)
FROM
(
    SELECT item_hash, countIf(build_id = {a:UUID}) > 0 AS of_a, countIf(build_id = {b:UUID}) > 0 AS of_b
    FROM dataset_items WHERE build_id IN ({a:UUID}, {b:UUID}) AND dataset IN ({of_a:String}, {of_b:String}) GROUP BY item_hash
)
"""
_MIX: Final = """
SELECT app, request_model, prompt_version, countIf(build_id = {a:UUID}) AS in_a, countIf(build_id = {b:UUID}) AS in_b
FROM dataset_items WHERE build_id IN ({a:UUID}, {b:UUID}) AND dataset IN ({of_a:String}, {of_b:String})
GROUP BY app, request_model, prompt_version ORDER BY abs(toInt64(in_a) - toInt64(in_b)) DESC, app, request_model, prompt_version LIMIT 20
"""


def difference(client: "Client", a: Manifest, b: Manifest) -> tuple[tuple[int, int, int], list[tuple[str, str, str, int, int]]]:
    """Give the rows in both, only in a, only in b; and how many each has by app, model and prompt version, most different first."""
    values = {"a": a.build_id, "b": b.build_id, "of_a": a.name, "of_b": b.name}
    ((both, only_a, only_b),) = client.query(_DIFFERENCE, parameters=values).result_rows
    mix = [(str(r[0]), str(r[1]), str(r[2]), int(r[3]), int(r[4])) for r in client.query(_MIX, parameters=values).result_rows]
    return (int(both), int(only_a), int(only_b)), mix
