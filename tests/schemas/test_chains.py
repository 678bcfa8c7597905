"""Compare-and-set on a compacted topic: all readers agree, whatever compaction took away and however writers interleave."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_schemas.chains import Chains, Entry, RegistryRecord, entry_key, split_key
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic, RegistryUnavailable, TakenError, append


def record(offset: int, chain: str, number: int, attempt: int, value: bytes = b"{}") -> RegistryRecord:
    return RegistryRecord("i", offset, offset, entry_key(chain, number, f"{attempt:032x}").encode(), value)


def state(chains: Chains) -> dict[str, list[tuple[int, str]]]:
    return {name: [(entry.number, entry.attempt) for entry in chains.entries(name)] for name in chains.names()}


def fold(records: list[RegistryRecord]) -> Chains:
    chains = Chains("prompt/", "label/")
    chains.learn(records)
    return chains


ATTEMPTS = st.lists(st.tuples(st.sampled_from(["prompt/a", "prompt/a/b", "label/a/x"]), st.integers(1, 6)), max_size=30)


def written(attempts: list[tuple[str, int]]) -> list[RegistryRecord]:
    """Every attempt as a correct writer makes it: the number after some earlier one that it has read, so never beyond the next."""
    chains, made = Chains("prompt/", "label/"), []
    for offset, (chain, number) in enumerate(attempts):
        head = chains.head(chain)
        made.append(record(offset, chain, min(number, head.number + 1 if head else 1), offset))
        chains.learn(made[-1:])
    return made


@given(ATTEMPTS, st.data())
def test_readers_agree_however_they_read(attempts: list[tuple[str, int]], data: st.DataObject) -> None:
    records = written(attempts)
    whole = fold(records)
    cut = data.draw(st.integers(0, len(records)))
    again = data.draw(st.integers(0, cut))
    resumed = fold(records[:cut])
    resumed.learn(records[again:])
    assert state(resumed) == state(whole)


@given(ATTEMPTS, st.data())
def test_compaction_and_the_removal_of_losers_change_nothing(attempts: list[tuple[str, int]], data: st.DataObject) -> None:
    records = written(attempts)
    whole = fold(records)
    winners = {entry.offset for name in whole.names() for entry in whole.entries(name)}
    assert len({one.key for one in records}) == len(records), "no two attempts share a key, so compaction takes none"
    kept = [one for one in records if one.offset in winners or data.draw(st.booleans())]
    assert state(fold(kept)) == state(whole)


@given(ATTEMPTS)
def test_numbers_rise_by_one_and_the_first_attempt_has_each(attempts: list[tuple[str, int]]) -> None:
    records = written(attempts)
    whole = fold(records)
    for name in whole.names():
        entries = whole.entries(name)
        assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            rivals = [one.offset for one in records if one.key and split_key(one.key) and split_key(one.key)[:2] == (name, entry.number)]  # type: ignore[index]
            assert entry.offset == min(rivals)


@pytest.mark.parametrize(
    "key", [b"", b"prompt/a/1", b"prompt/a/0/" + b"0" * 32, b"prompt/a/x/" + b"0" * 32, b"key/ff", b"\xff/1/" + b"0" * 32]
)
def test_what_is_no_entry_is_passed_over(key: bytes) -> None:
    chains = Chains("prompt/", "\udcff".encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    assert not chains.learn([RegistryRecord("i", 0, 0, key, b"{}"), RegistryRecord("i", 1, 0, None, b"{}")])


def test_a_record_without_a_value_takes_nothing_away() -> None:
    entry = record(0, "prompt/a", 1, 1)
    assert state(fold([entry, entry._replace(offset=1, value=None)])) == {"prompt/a": [(1, f"{1:032x}")]}


class Slow(MemoryRegistryLog):
    """Lets others go first before every read and write."""

    async def read(self, wait_s: float = 0.0) -> list[RegistryRecord]:
        await asyncio.sleep(0)
        return await super().read(wait_s)

    async def write(self, key: str, value: bytes) -> int:
        await asyncio.sleep(0)
        return await super().write(key, value)


@pytest.mark.parametrize("writers", [2, 5])
def test_of_concurrent_writers_exactly_one_wins(writers: int) -> None:
    topic = MemoryTopic()

    async def one(number: int) -> Entry | TakenError:
        try:
            return await append(Slow(topic), Chains("label/"), "label/a/production", b"%d" % number, after=0)
        except TakenError as error:
            return error

    async def all_of_them() -> list[Entry | TakenError]:
        return await asyncio.gather(*(one(number) for number in range(writers)))

    found = asyncio.run(all_of_them())
    (winner,) = [entry for entry in found if isinstance(entry, Entry)]
    assert len(topic.records) == writers, "all of them wrote"
    assert {error.entry.attempt for error in found if isinstance(error, TakenError)} == {winner.attempt}


def test_a_writer_that_has_not_seen_the_last_move_writes_nothing() -> None:
    topic = MemoryTopic()

    async def story() -> None:
        first = await append(MemoryRegistryLog(topic), Chains("label/"), "label/a/b", b"1", after=0)
        with pytest.raises(TakenError) as taken:
            await append(MemoryRegistryLog(topic), Chains("label/"), "label/a/b", b"2", after=0)
        assert taken.value.entry == first

    asyncio.run(story())
    assert len(topic.records) == 1


def test_without_the_topic_nothing_is_claimed() -> None:
    topic = MemoryTopic()
    topic.reachable = False
    with pytest.raises(RegistryUnavailable):
        asyncio.run(append(MemoryRegistryLog(topic), Chains("label/"), "label/a/b", b"1", after=0))


def test_what_lies_directly_below_a_folder_is_known_without_a_search() -> None:
    """Prompts' names hold slashes: `label/a/b/live` is a label of `a/b`, none of `a`."""
    labels = ("a/live", "a/b/live", "a/b/dev", "ab/live")
    chains = fold(
        [record(offset, f"label/{label}", number, offset) for number in (1, 2) for offset, label in enumerate(labels, 4 * number)]
    )
    assert chains.below("label/a/b") == ["label/a/b/dev", "label/a/b/live"]
    assert (chains.below("label/a"), chains.below("label"), chains.below("label/nobody")) == (["label/a/live"], [], [])
