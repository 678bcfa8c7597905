"""What was asked about before is not asked again, and not everything is kept."""

from llmtower_processors.toxic.seen import Seen


def test_each_text_is_asked_about_once() -> None:
    asked: list[str] = []

    def ask(texts: list[str]) -> list[int]:
        asked.extend(texts)
        return [len(text) for text in texts]

    seen: Seen[int] = Seen()
    assert seen.answers(["a", "bb", "a", ""], ask) == [1, 2, 1, 0]
    assert seen.answers(["bb", "ccc", "\ud800"], ask) == [2, 3, 1]
    assert asked == ["a", "bb", "", "ccc", "\ud800"]
    assert seen.hits == 2


def test_it_is_bounded_and_keeps_what_is_asked_for_again() -> None:
    fresh: list[str] = []

    def ask(texts: list[str]) -> list[str]:
        fresh.extend(texts)
        return texts

    seen: Seen[str] = Seen(most=10)
    for number in range(100):
        seen.answers(["often", str(number)], ask)
    assert len(seen) <= 20
    assert fresh.count("often") == 1
    assert len(fresh) == 101


def test_what_fails_is_not_kept() -> None:
    seen: Seen[int] = Seen()

    def fail(texts: list[str]) -> list[int]:
        raise OSError

    for _ in range(2):
        try:
            seen.answers(["a"], fail)
        except OSError:
            continue
        raise AssertionError("it was answered")
    assert len(seen) == 0
