"""Late texts in SQL: the messages of a call that travelled apart from it (`late_contents`), put together again."""


def messages(side: str) -> str:
    """One side's late texts as one JSON list, in the order of their times; an event that holds several is a list itself.

    An aggregate over rows of `late_contents`; `side` is `input` or `output`. Of one call at most 1,000 are taken.
    """
    inner = f"if(startsWith({side}, '['), substring({side}, 2, length({side}) - 2), {side})"
    ordered = f"arraySort(groupArrayIf(1000)((at, kafka_offset, event_index, {inner}), {side} != ''))"
    return f"if(max({side}) = '', '', concat('[', arrayStringConcat(arrayMap(one -> one.4, {ordered}), ','), ']'))"
