"""What `llmtower doctor` makes of what it measured; the whole command runs in tests/integration/cli."""

from pathlib import Path

import pytest

from llmtower_processors.doctor import _clock, _disk, _module, examine


def test_what_is_not_installed_comes_with_its_pip_line() -> None:
    finding = _module("no_such_module", "no-such-package", "local")
    assert (finding.ok, finding.sentence, finding.remedy) == (False, "not installed", "pip install 'llmtower[local]'")


def test_a_clock_that_is_off_is_a_problem_and_one_that_agrees_is_none() -> None:
    assert (_clock(0.0).ok, _clock(1.9).ok, _clock(-0.0).remedy) == (True, True, "")
    off = _clock(7.25)
    assert (off.ok, off.sentence) == (False, "differs from ClickHouse's by 7.2 s")
    assert "NTP" in off.remedy


def test_a_setting_that_is_none_is_a_problem_and_nothing_is_looked_at_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMTOWER_KAFKA__BOOTSTRAP_SERVER", "k:9092")
    last = list(examine(tmp_path))[-1]
    assert (last.subject, last.ok) == ("settings", False)
    assert "did you mean LLMTOWER_KAFKA__BOOTSTRAP_SERVERS?" in last.sentence


def test_little_room_on_the_disk_is_a_problem_with_a_remedy() -> None:
    finding = _disk(1 << 30, 100 << 30)
    assert not finding.ok
    assert finding.sentence.startswith("1.0 of 100.0 GiB free")
    assert "LLMTOWER_RETENTION__CONTENTS_DAYS" in finding.remedy
    assert _disk(50 << 30, 100 << 30).ok
