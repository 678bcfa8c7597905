"""Texts out of content, words out of texts, languages and vectors out of words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmtower_processors.drift.embedders import HashedNgrams, ModelEmbedder, _loaded, fingerprint, load_embedder, unit
from llmtower_processors.drift.features import BANDWIDTHS, USUAL_BANDWIDTHS, features
from llmtower_processors.drift.language import LANGUAGES, languages
from llmtower_processors.drift.said import answered, asked, calls_tools
from llmtower_processors.drift.tokens import CHUNK_BYTES, chunks, grams, pairs, word_hash, words
from llmtower_processors.errors import NotConfigured


@pytest.mark.parametrize(
    ("content", "question", "answer"),
    [
        (b'"plain \\u00e9"', "plain é", "plain é"),
        (b"", "", ""),
        (b"null", "", ""),
        (b"17", "", ""),
        (b'[{"role":"system","content":"S"},{"role":"user","content":"A"},{"role":"assistant","content":"B"}]', "A", "S\nA\nB"),
        (b'[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"y"}}]}]', "x", "x"),
        (b'[{"role":"system","content":"S"}]', "S", "S"),
        (b'[{"role":"user","parts":[{"text":"gemini"}]}]', "gemini", "gemini"),
        (b'["a","b"]', "a\nb", "a\nb"),
        (b'{"text":"fine","citations":[]}', "fine", "fine"),
        (b'[{"role":"assistant","content":null,"tool_calls":[{}]}]', "", ""),
        (b"[" * 12 + b'"deep"' + b"]" * 12, "", ""),
    ],
)
def test_what_was_said_comes_out_of_any_shape(content: bytes, question: str, answer: str) -> None:
    assert asked(Raw(content)) == question
    assert answered(Raw(content)) == answer


def test_tools_and_refusals_are_seen() -> None:
    assert calls_tools(Raw(b""), ["tool_calls"])
    assert calls_tools(Raw(b'[{"role":"assistant","tool_calls":[{"id":"1"}]}]'), [])
    assert calls_tools(Raw(b'[{"role":"assistant","content":[{"type":"tool_use","name":"x"}]}]'), [])
    assert not calls_tools(Raw(b'[{"role":"assistant","tool_calls":null,"content":"my tool"}]'), ["stop"])
    assert not calls_tools(Raw(b'"the tool_calls field"'), [])


def test_words_are_what_stands_between_other_bytes() -> None:
    found = words(["Hello, hello—WORLD", "", "world"])
    assert found.text.tolist() == [0, 0, 0, 2]
    assert found.hashes.tolist() == [word_hash(word) for word in ("hello", "hello", "world", "world")]
    assert found.length.tolist() == [5, 5, 5, 5]
    assert words(["日本、語"]).hashes.tolist() == [word_hash(sign) for sign in "日本語"]


@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_text_has_the_same_words_beside_any_others(texts: list[str]) -> None:
    found = words(texts) if texts else None
    for index, text in enumerate(texts):
        alone = words([text])
        assert found is not None
        assert found.hashes[found.text == index].tolist() == alone.hashes.tolist()
        hashes, of = pairs(found)
        assert hashes[of == index].tolist() == pairs(alone)[0].tolist()
        hashes, of = grams(found, 3)
        assert hashes[of == index].tolist() == grams(alone, 3)[0].tolist()


@given(st.lists(st.integers(0, CHUNK_BYTES // 2), max_size=20))
def test_chunks_hold_every_text_once_and_are_bounded(lengths: list[int]) -> None:
    texts = ["a" * length for length in lengths]
    pieces = chunks(texts)
    assert [text for piece in pieces for text in texts[piece]] == texts
    assert all(sum(len(text) + 1 for text in texts[piece]) <= CHUNK_BYTES for piece in pieces)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello where is my order and how do I return it", "en"),
        ("Où est mon colis ? Je ne sais pas", "fr"),
        ("wo ist mein Paket und wann kommt es", "de"),
        ("¿dónde está mi pedido? no lo sé", "es"),
        ("今日はとても暑いです", "ja"),
        ("我的订单在哪里", "zh"),
        ("내 주문은 어디에 있나요", "ko"),
        ("Где мой заказ", "ru"),
        ("أين طلبي", "ar"),
        ("मेरा ऑर्डर कहाँ है", "hi"),
        ("12345", "und"),
        ("", "und"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert LANGUAGES[languages(words([text, "x"]))[0]] == language


@pytest.mark.parametrize("embedder", [HashedNgrams(), HashedNgrams(characters=True)], ids=lambda one: one.label)
def test_vectors_are_of_length_one_and_never_change(embedder: HashedNgrams) -> None:
    texts = ["where is my order", "where is my parcel order", "the weather in paris", "", "💥\x00\x7f", "12 12 12"]
    rows = embedder.embed(texts)
    assert rows.shape == (6, embedder.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0, 1, 1], abs=1e-6)
    assert rows[0] @ rows[1] > 0.4 > 0.25 > abs(rows[0] @ rows[2])
    assert np.array_equal(embedder.embed(texts[1:2])[0], rows[1])
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_the_vector_of_a_text_is_the_one_of_the_first_release() -> None:
    """Old sums would not merge with new ones: whoever changes it gives the embedder a new version."""
    row = HashedNgrams().embed(["Where is my order?"])[0]
    nonzero = np.flatnonzero(row).tolist()
    assert (nonzero, np.round(row[nonzero] * 1_000).astype(int).tolist()) == GOLDEN
    assert HashedNgrams().label == "hashed-words@1:256"


GOLDEN: tuple[list[int], list[int]] = (
    [3, 4, 13, 56, 58, 63, 81, 139, 152, 160, 162, 232, 238, 242],
    [-68, -68, 68, -339, 68, 271, -339, -339, -339, 271, -271, 339, -339, 271],
)


def test_embedders_are_found_by_name() -> None:
    assert load_embedder("hashed-characters").label == "hashed-characters@1:256"
    with pytest.raises(NotConfigured, match="No embedder is called 'bert'"):
        load_embedder("bert")


class Counting:
    """An encoder that gives lengths."""

    def encode(self, sentences: list[str]) -> list[list[float]]:
        return [[len(sentence), 1.0] for sentence in sentences]


def test_a_model_sees_only_texts_that_say_something() -> None:
    rows = ModelEmbedder("counting", "3", 2, Counting()).embed(["", "abc", " \n"])
    assert rows == pytest.approx(np.array([[0, 0], [3, 1], [0, 0]]) / np.sqrt([[1], [10], [1]]))


def test_rows_that_are_not_finite_become_zeros() -> None:
    rows = unit(np.array([[np.nan, 1.0], [np.inf, 0.0], [3.0, 4.0], [1e200, 1e200], [0.0, 0.0]]))
    assert rows.tolist() == [[0, 0], [0, 0], pytest.approx([0.6, 0.8]), [0, 0], [0, 0]]


def test_a_model_that_gives_rows_of_another_dimension_says_so() -> None:
    with pytest.raises(ValueError, match=r"counting@3:7 gave \(1, 2\) for 1 texts"):
        ModelEmbedder("counting", "3", 7, Counting()).embed(["abc"])


def test_the_version_of_a_model_follows_from_its_weights_alone() -> None:
    one, other = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, dtype=np.float32)
    assert fingerprint([one, other]) == fingerprint([other, one]) == "df642cb6"
    assert fingerprint([one, other * 2]) != fingerprint([one, other])


def test_a_model_that_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    def broken(path: str) -> None:
        raise OSError(f"no file in {path}\nand a long story")

    with pytest.raises(NotConfigured, match="LLMTOWER_WORKER__EMBEDDER=model2vec:FOLDER"):
        _loaded("model2vec", "", broken)
    with pytest.raises(NotConfigured, match=r"cannot load '.*' \(OSError: no file in .*\)\. It must be a folder") as raised:
        _loaded("model2vec", str(tmp_path), broken)
    assert "long story" not in str(raised.value)
    for missing in (str(tmp_path / "x"), "./no/such/folder", "~/model"):
        with pytest.raises(NotConfigured, match=f"finds no folder {missing!r}, seen from /"):
            _loaded("model2vec", missing, broken)


def test_bandwidths_belong_to_the_version_of_an_embedder() -> None:
    """Those of a version that sums may be stored of never change; there are three at least, for three sizes of difference."""
    assert BANDWIDTHS["1:256"] == USUAL_BANDWIDTHS == (0.35, 0.7, 1.4)
    assert all(len(widths) >= 3 and widths == tuple(sorted(widths)) for widths in BANDWIDTHS.values())
    own = features("mine@ffffffff:256", 256)
    lengths = np.linalg.norm(own.directions, axis=0) / np.sqrt(256)
    assert [float(1 / lengths[turn::3].mean()) for turn in range(3)] == pytest.approx(USUAL_BANDWIDTHS, rel=0.02)
