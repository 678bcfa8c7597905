"""What `llmtower doctor` makes of what it measured; the whole command runs in tests/integration/cli."""

from llmtower_processors.doctor import _disk


def test_little_room_on_the_disk_is_a_problem_with_a_remedy() -> None:
    finding = _disk(1 << 30, 100 << 30)
    assert not finding.ok
    assert finding.sentence.startswith("1.0 of 100.0 GiB free")
    assert "LLMTOWER_RETENTION__CONTENTS_DAYS" in finding.remedy
    assert _disk(50 << 30, 100 << 30).ok
