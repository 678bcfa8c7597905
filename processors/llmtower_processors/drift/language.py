"""The language of a text, from its script and its commonest words: cheap, for the mix of languages and not for a verdict on one text."""

from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.tokens import Words, word_hash

UNKNOWN: Final = "und"

_COMMON: Final[dict[str, str]] = {
    "en": "the and of to is in that for it you with on this are be was have not what how can your i my do",
    "de": "der die und das ist nicht ich sie ein eine zu mit auf für den dem von wie wir auch wenn kann es im",
    "fr": "le la les et des est une pour dans que qui vous pas sur au ce je nous avec il du mon votre comment",
    "es": "el los las y del es una por para que en con se no mi su como más lo puedo qué cómo está al un",
    "it": "il di che è per un una non con sono mi come del della le gli anche questo più posso i ho nel",
    "pt": "o os as e do da em um uma não para com que por como mais eu você meu minha dos das está ao se",
    "nl": "de het een en van is niet ik je op te dat met voor zijn er aan hoe maar kan mijn wat deze ook",
    "pl": "i w na nie się z do to jest że jak co mi czy tak po ale dla są od przez moje mogę ten",
    "sv": "och det att en är på jag som inte med för har till av den ett om hur kan min du vi så",
    "tr": "bir ve bu için ne ile çok da de ben var olarak daha gibi değil kadar ama en benim",
}
_SCRIPTS: Final[tuple[tuple[str, range], ...]] = (
    ("ru", range(0xD0, 0xD4)),
    ("el", range(0xCE, 0xD0)),
    ("he", range(0xD6, 0xD8)),
    ("ar", range(0xD8, 0xDC)),
    ("zh", range(0xE4, 0xEA)),
    ("ko", range(0xEA, 0xEE)),
)
"""First bytes of UTF-8 that say a script; kana, Thai and the scripts of India need a second byte."""
_SECOND: Final[tuple[tuple[str, int, range], ...]] = (
    ("ja", 0xE3, range(0x81, 0x84)),
    ("hi", 0xE0, range(0xA4, 0xA6)),
    ("th", 0xE0, range(0xB8, 0xBA)),
)
LANGUAGES: Final = (UNKNOWN, *_COMMON, *(name for name, _ in _SCRIPTS), *(name for name, _, _ in _SECOND))
_LATIN: Final = len(_COMMON)
_BITS: Final = 18
_SHIFT: Final = np.uint64(64 - _BITS)


def _table() -> npt.NDArray[np.uint16]:
    table = np.zeros(1 << _BITS, dtype=np.uint16)
    for number, common in enumerate(_COMMON.values()):
        for word in common.split():
            table[word_hash(word) >> (64 - _BITS)] |= np.uint16(1 << number)
    return table


_MASKS: Final = _table()


def _scripts() -> npt.NDArray[np.int64]:
    table = np.zeros(256, dtype=np.int64)
    for number, (_, first) in enumerate(_SCRIPTS):
        table[first.start : first.stop] = 1 + _LATIN + number
    return table


_SCRIPT_OF: Final = _scripts()


def languages(found: Words) -> npt.NDArray[np.int64]:
    """Give for each text the position of its language in `LANGUAGES`; where two are as likely, it is unknown."""
    count, kinds = found.starts.size, len(LANGUAGES)
    votes = np.zeros((count, kinds))
    masks = _MASKS[found.hashes >> _SHIFT]
    hits = np.flatnonzero(masks)
    masks, text = masks[hits].astype(np.int64), found.text[hits]
    for number in range(_LATIN):
        votes[:, 1 + number] = np.bincount(text, weights=(masks >> number) & 1, minlength=count)
    high = np.flatnonzero(found.bytes >= 0xC0)
    if high.size:
        votes += _of_scripts(found, high, count, kinds)
    second, first = np.partition(votes, -2, axis=1)[:, -2:].T
    return np.where(first > second, np.argmax(votes, axis=1), 0)


def _of_scripts(found: Words, high: npt.NDArray[np.int64], count: int, kinds: int) -> npt.NDArray[np.float64]:
    """Count characters of scripts as fractions of a vote; one kana says more than many Han characters."""
    lead, second = found.bytes[high], found.bytes[high + 1]
    script = _SCRIPT_OF[lead]
    weight = np.full(high.size, 0.2)
    for number, (_, first, seconds) in enumerate(_SECOND):
        chosen = (lead == first) & (second >= seconds.start) & (second < seconds.stop)
        script[chosen] = 1 + _LATIN + len(_SCRIPTS) + number
        weight[chosen] = 0.6
    known = script > 0
    text = np.searchsorted(found.starts, high[known], side="right") - 1
    counted = np.bincount(text * kinds + script[known], weights=weight[known], minlength=count * kinds).astype(np.float64)
    return counted.reshape(count, kinds)
