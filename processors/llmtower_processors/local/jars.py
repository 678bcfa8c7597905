"""Kafka's jars: named and checksummed by a committed lock, fetched by jgo, verified at every start."""

import contextlib
import hashlib
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from llmtower_processors.local.errors import JarRefusedError, LocalStackError
from llmtower_processors.local.progress import DownloadProgress

KAFKA_VERSION = "4.1.1"
# slf4j-simple: without a logging backend Kafka says nothing at all, and log4j costs start-up time.
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
LOCK_NAME = "kafka.lock.toml"
CONNECTIONS = 16
ATTEMPTS = 3


@dataclass(frozen=True)
class LockedJar:
    """One jar of the lock: `group:artifact:version`, its SHA-256 and its size in bytes."""

    coordinate: str
    sha256: str
    bytes: int

    @property
    def file_name(self) -> str:
        """The jar's name in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked_jars() -> tuple[LockedJar, ...]:
    """Read the committed lock."""
    lock = tomllib.loads(resources.files(__package__).joinpath(LOCK_NAME).read_text("utf-8"))
    return tuple(LockedJar(**jar) for jar in lock["jars"])


def cache_root() -> Path:
    """Where downloads are kept: LLMTOWER_CACHE_DIR, else `llmtower` in the user's cache directory."""
    if chosen := os.environ.get("LLMTOWER_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "llmtower")


def jar_dir() -> Path:
    """The cache folder of this Kafka version's jars."""
    return cache_root() / f"kafka-{KAFKA_VERSION}"


def is_intact(path: Path, jar: LockedJar) -> bool:
    """Whether the file exists and has the locked SHA-256."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False


def ensure_jars() -> tuple[list[Path], bool]:
    """Return the verified class path in lock order, and whether anything had to be fetched (absent or altered jars).

    Raises JarRefusedError for a fetched jar that differs from the lock, LocalStackError when it cannot be fetched.
    """
    folder, jars = jar_dir(), locked_jars()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        intact = pool.map(lambda jar: is_intact(folder / jar.file_name, jar), jars)
        wanted = [jar for jar, good in zip(jars, intact, strict=True) if not good]
        try:
            if wanted:
                _fetch_all(wanted, folder, pool)
        except OSError as error:
            raise LocalStackError(f"cannot write to the cache folder {folder} ({error.strerror}): set LLMTOWER_CACHE_DIR") from error
    return [folder / jar.file_name for jar in jars], bool(wanted)


def _fetch_all(jars: list[LockedJar], folder: Path, pool: ThreadPoolExecutor) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    title = f"downloading Kafka {KAFKA_VERSION} ({len(jars)} files)"
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch,
        DownloadProgress(title, sum(j.bytes for j in jars)) as bar,
    ):
        download = _downloader(Path(scratch), bar.add)
        try:
            list(pool.map(lambda jar: _fetch(jar, folder, download), jars))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(jar: LockedJar, folder: Path, download: Callable[[LockedJar], Path]) -> None:
    path = download(jar)
    if not is_intact(path, jar):
        raise JarRefusedError(
            f"the downloaded {jar.file_name} does not have the SHA-256 of {LOCK_NAME}: it was refused; "
            "try again, and check the Maven mirror in jgo's settings if it stays so"
        )
    path.replace(folder / jar.file_name)


def _downloader(scratch: Path, count: Callable[[int], None]) -> Callable[[LockedJar], Path]:
    """Return a function that fetches a jar into `scratch` with jgo, from the repositories of the user's jgo settings."""
    import requests
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    @contextlib.contextmanager
    def progress(_name: str, _total: int) -> Iterator[Callable[[int], None]]:
        yield count

    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    context = MavenContext(PythonResolver(progress_callback=progress), repo_cache=scratch, remote_repos=repositories, timeout=30)

    def download(jar: LockedJar, attempts: int = ATTEMPTS) -> Path:
        group, artifact, version = jar.coordinate.split(":")
        wanted = context.project(group, artifact).at_version(version).artifact()
        try:
            return wanted.resolve()
        except (requests.RequestException, RuntimeError) as error:
            if attempts == 1:
                raise LocalStackError(_unreachable(jar, error)) from error
        (scratch / wanted.component.path_prefix / wanted.cached_filename).unlink(missing_ok=True)
        return download(jar, attempts - 1)

    return download


def _unreachable(jar: LockedJar, error: Exception) -> str:
    return (
        f"could not download {jar.coordinate} ({type(error).__name__}): check the network; "
        "a Maven mirror can be named under [repositories] in jgo's settings file"
    )


def write_lock(path: Path) -> None:
    """Resolve Kafka's jars anew and write the lock (`make lock`)."""
    import jgo

    lines = [f"# Generated by `make lock`: the class path of Apache Kafka {KAFKA_VERSION}, in order."]
    artifacts = jgo.resolve(ENDPOINT)
    for artifact in artifacts:
        content = artifact.resolve().read_bytes()
        lines += [
            "\n[[jars]]",
            f'coordinate = "{artifact.groupId}:{artifact.artifactId}:{artifact.version}"',
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
            f"bytes = {len(content)}",
        ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
