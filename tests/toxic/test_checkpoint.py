"""Nothing of a checkpoint is read before its SHA-256 is right; a download that is not right leaves nothing behind."""

import hashlib
import io
from pathlib import Path
from urllib.error import URLError

import pytest

from llmtower_processors.toxic import checkpoint
from llmtower_processors.toxic.checkpoint import OFFICIAL, ModelError, Official, checked, fetch, load, sha256_of
from llmtower_processors.toxic.load import choose
from llmtower_schemas.settings import ToxicitySettings

CONTENT = b"weights" * 1_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "OFFICIAL", {"original": Official("http://127.0.0.1/toxic.ckpt", DIGEST[:8], "bert-base-uncased")})


def test_the_official_files_name_how_their_hashes_begin() -> None:
    for official in OFFICIAL.values():
        assert official.url.rsplit("-", 1)[1] == f"{official.sha256[:8]}.ckpt"


def test_a_file_is_checked_by_how_its_hash_begins(tmp_path: Path) -> None:
    path = tmp_path / "toxic.ckpt"
    path.write_bytes(CONTENT)
    assert checked(path, DIGEST[:8].upper()) == checked(path, "") == sha256_of(path) == DIGEST
    with pytest.raises(ModelError, match=r"has the SHA-256 .*expected 00000000"):
        checked(path, "00000000")
    with pytest.raises(ModelError, match=r"cannot be read \(No such file"):
        checked(tmp_path / "none", "")


def test_a_wrong_hash_is_refused_before_anything_else_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "toxic.ckpt"
    path.write_bytes(b"not what it was")
    with pytest.raises(ModelError, match="it is damaged, or another file"):
        load(path, tmp_path / "no folder", DIGEST)


def test_a_folder_without_config_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toxic.ckpt"
    path.write_bytes(CONTENT)
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load(path, tmp_path, DIGEST)


@pytest.mark.usefixtures("official")
def test_a_download_is_checked_and_kept(tmp_path: Path) -> None:
    asked: list[str] = []

    def opener(url: str) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(CONTENT)

    path = fetch("original", tmp_path / "models", opener)
    assert (path.name, path.read_bytes()) == ("toxic.ckpt", CONTENT)
    assert fetch("original", tmp_path / "models", opener) == path
    assert asked == ["http://127.0.0.1/toxic.ckpt"]


@pytest.mark.usefixtures("official")
def test_a_download_that_is_cut_short_or_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="damaged"):
        fetch("original", tmp_path, lambda url: io.BytesIO(CONTENT[:-1]))

    def refuse(url: str) -> io.BytesIO:
        raise URLError("no route")

    with pytest.raises(ModelError, match="Bring the file by hand"):
        fetch("original", tmp_path, refuse)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ToxicitySettings(), "the linear model alone scores all texts; for Detoxify"),
        (ToxicitySettings(model="original"), "There is no checkpoint at"),
        (ToxicitySettings(model="original", checkpoint=Path(__file__)), "Set LLMTOWER_TOXICITY__FOLDER"),
        (ToxicitySettings(model="original", checkpoint=Path(__file__), folder=Path(), sha256="00"), "damaged, or another file"),
    ],
    ids=["none", "missing", "folder", "damaged"],
)
def test_without_a_model_that_can_be_used_the_reason_is_said_and_nothing_stops(
    settings: ToxicitySettings, words: str, tmp_path: Path
) -> None:
    choice = choose(settings, tmp_path)
    assert choice.strong is None
    assert words in choice.sentence
    assert choice.sentence.startswith("the linear model alone scores all texts")
    assert choice.failed is (settings.model != "none")
