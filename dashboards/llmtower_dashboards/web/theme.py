"""The page's colours and how well they can be told apart. Values of PAGE.md; a test computes every contrast."""

from typing import Final

LIGHT: Final = {
    "bg": "#FAFAF7",
    "card": "#FFFFFF",
    "text": "#1D2433",
    "muted": "#5B6475",
    "line": "#E3E5E8",
    "accent": "#2456C7",
    "ok": "#1B7F4D",
    "warn": "#9A5B00",
    "bad": "#B3261E",
}
DARK: Final = {
    "bg": "#12161C",
    "card": "#1A2029",
    "text": "#E8EBF0",
    "muted": "#A0A9B8",
    "line": "#2C3440",
    "accent": "#7EA6FF",
    "ok": "#5CC58F",
    "warn": "#E5A84B",
    "bad": "#FF8A80",
}
SERIES_LIGHT: Final = ("#2456C7", "#B4530A", "#16796F", "#8A3FA6", "#A02C5A", "#5F6B12", "#3C6E8F", "#7A5230")
SERIES_DARK: Final = ("#7EA6FF", "#F2A25C", "#5CC9BC", "#C99BE0", "#F08FB5", "#B8C466", "#86BBDB", "#C9A27E")

HUES: Final = len(SERIES_LIGHT)
OTHER: Final = "var(--muted)"
"""The colour of what comes after the eighth name."""


def series(position: int) -> str:
    """The colour of the name at this position, in either theme."""
    return f"var(--s{position + 1})" if position < HUES else OTHER


def css() -> str:
    """Both themes as CSS variables: what the machine prefers, or what the reader has chosen (`data-theme`)."""
    light, dark = _variables(LIGHT, SERIES_LIGHT, "light"), _variables(DARK, SERIES_DARK, "dark")
    preferred = f"@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}"
    return f":root{{{light}}}\n{preferred}\n:root[data-theme=dark]{{{dark}}}\n"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21, as WCAG 2.2 defines it."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _variables(tokens: dict[str, str], hues: tuple[str, ...], scheme: str) -> str:
    names = [*tokens.items(), *((f"s{number}", hue) for number, hue in enumerate(hues, 1))]
    return "".join(f"--{name}:{value};" for name, value in names) + f"color-scheme:{scheme};"


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
