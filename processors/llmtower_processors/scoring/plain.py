"""Texts as a reader reads them: without invisible characters, look-alikes and digits that stand for letters."""

import re
import unicodedata
from typing import Final

LONGEST: Final = 1 << 20
"""Characters of a text that are looked at; scores of a longer one say `cut`."""

_INVISIBLE: Final = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
"""Zero-width, direction and tag characters."""
_TWINS: Final = {
    **dict(
        zip(
            "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u04bb\u0501\u03bd\u03bf\u03b1\u03b5\u03b9",
            "aeopcyxisjhdvoaei",
            strict=True,
        )
    ),
    **dict(
        zip("\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0391\u0395\u0399\u039f", "abekmhopctxaeio", strict=True)
    ),
}
"""Cyrillic and Greek letters that look like Latin ones."""
_TWIN: Final = re.compile(f"[{''.join(_TWINS)}]")
_QUOTES: Final = (("\u2019", "'"), ("\u2018", "'"), ("\u00b4", "'"), ("\u201c", '"'), ("\u201d", '"'))
_LEET: Final = str.maketrans("013457@$!", "oieastasi")
_MIXED: Final = re.compile(r"(?<![a-z013457@$!])(?:[a-z]*[013457@$!](?=[a-z013457@$!]*[a-z])[a-z013457@$!]+|[a-z]+[013457@$!]+(?=\W|$))")
"""It begins where a run of such letters begins: tried within one as well, a word of 100,000 letters would take hours."""
_LATIN: Final = re.compile(r"[A-Za-z]")
_MASKS: Final = 3
"""Digits within words that make a text leetspeak: fewer are names of products and formats."""
_SPELT: Final = re.compile(r"\b(?:[a-z][ .\-_*]){4,}[a-z]\b")
_BETWEEN: Final = re.compile(r"[ .\-_*]")


def visible(text: str) -> str:
    """Take out what is not to be seen, and give compatibility forms (full width, ligatures, styled letters) their plain ones."""
    if text.isascii():
        return text
    if _INVISIBLE.search(text):
        text = _INVISIBLE.sub("", text)
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    """Give a visible text in lower case with one kind of quotation marks; of one in Latin letters also look-alikes of other alphabets."""
    if not text.isascii():
        for fancy, plain in _QUOTES:
            text = text.replace(fancy, plain)
        if _TWIN.search(text) and 3 * len(_LATIN.findall(text[:4_096])) > len(text[:4_096]):
            text = _TWIN.sub(lambda found: _TWINS[found[0]], text)
    return text.lower()


def unmasked(text: str) -> str:
    """Read a folded text as leetspeak (1gn0r3) and letter by letter (i g n o r e): for patterns only, since it spoils real numbers.

    Whether there is anything of the kind is asked of the text's shape, which costs a tenth of the expressions.
    """
    shape = text.encode("utf-8", "replace").translate(_SHAPE)
    if shape.count(b"0") >= _MASKS and shape.count(b"a0a") + shape.count(b"0a0") >= _MASKS:
        text = _MIXED.sub(lambda found: found[0].translate(_LEET), text)
    if b"a a a a a" in shape:
        text = _SPELT.sub(lambda found: _BETWEEN.sub("", found[0]), text)
    return text


_SHAPE: Final = bytes(
    97 if chr(i) in "abcdefghijklmnopqrstuvwxyz" else 48 if chr(i) in "013457@$!" else 32 if chr(i) in " .-_*" else 33 for i in range(256)
)
