"""Plots of a report as SVG: bars of cost, lines of error rates. Titles and descriptions for who cannot see them. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Final

from llmtower_processors.report.model import Facts

COLOURS: Final = ("#2456C7", "#B4530A", "#16796F", "#8A3FA6", "#A02C5A", "#5F6B12", "#3C6E8F", "#7A5230")
OTHERS: Final = "#8A93A3"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 220, 56, 28, 12


def charts(facts: Facts, order: Sequence[str]) -> list[tuple[str, str]]:
    """Give titles and SVGs: cost by application, and error rates, per bucket of time (UTC)."""
    times = sorted({one.at for one in facts.points})
    if not times:
        return []
    usd: dict[str, dict[datetime, float]] = {}
    rates: dict[str, dict[datetime, float]] = {}
    for one in facts.points:
        usd.setdefault(one.app, {})[one.at] = one.usd
        if one.calls:
            rates.setdefault(one.app, {})[one.at] = 100 * one.errors / one.calls
    shown = list(order[: len(COLOURS)])
    every = "day" if facts.bucket_s >= 86_400 else "hour"
    return [
        (f"Cost per {every}, USD", _bars(times, usd, shown, f"Cost per {every} in US dollars, by application")),
        (f"Errors per {every}, %", _lines(times, rates, shown, f"Share of failed calls per {every} in percent, by application")),
    ]


Series = Mapping[str, Mapping[datetime, float]]


def _bars(times: Sequence[datetime], series: Series, shown: Sequence[str], title: str) -> str:
    groups = [(app, COLOURS[place], [series.get(app, {}).get(at, 0.0) for at in times]) for place, app in enumerate(shown)]
    rest = [sum(values.get(at, 0.0) for app, values in series.items() if app not in shown) for at in times]
    if any(rest):
        groups.append(("other", OTHERS, rest))
    highest = max(sum(values[place] for _, _, values in groups) for place in range(len(times))) or 1.0
    step, parts, base = (WIDTH - LEFT) / len(times), [], [0.0] * len(times)
    for app, colour, values in groups:
        for place, value in enumerate(values):
            if value > 0:
                height, below = _height(value, highest), _height(base[place], highest)
                base[place] += value
                box = f'x="{LEFT + place * step + step * 0.1:.1f}" y="{HEIGHT - BOTTOM - below - height:.1f}" width="{step * 0.8:.1f}"'
                note = f"{escape(app)}, {times[place]:%Y-%m-%d %H:%M} UTC: {value:.4g}"
                parts.append(f'<rect {box} height="{height:.1f}" fill="{colour}"><title>{note}</title></rect>')
    return _svg(title, times, highest, parts, [(app, colour) for app, colour, _ in groups])


def _lines(times: Sequence[datetime], series: Series, shown: Sequence[str], title: str) -> str:
    named = [(app, COLOURS[place]) for place, app in enumerate(shown) if app in series]
    highest = max((value for app, _ in named for value in series[app].values()), default=0.0) or 1.0
    step, parts = (WIDTH - LEFT) / len(times), []
    for app, colour in named:
        pen, path = "M", ""
        for place, at in enumerate(times):
            value = series[app].get(at)
            if value is None:
                pen = "M"
                continue
            path += f"{pen}{LEFT + (place + 0.5) * step:.1f} {HEIGHT - BOTTOM - _height(value, highest):.1f}"
            pen = "L"
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round"><title>{escape(app)}</title></path>'
        )
    return _svg(title, times, highest, parts, named)


def _height(value: float, highest: float) -> float:
    return (HEIGHT - BOTTOM - TOP) * value / highest


def _svg(title: str, times: Sequence[datetime], highest: float, parts: Sequence[str], named: Sequence[tuple[str, str]]) -> str:
    ground = HEIGHT - BOTTOM
    marks = [(highest, TOP), (highest / 2, (TOP + ground) / 2), (0.0, ground)]
    lines = [f'<path d="M{LEFT} {y:.1f}H{WIDTH}" stroke="#E3E5E8"/>' for _, y in marks]
    lines += [f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number:.3g}</text>' for number, y in marks]
    step = (WIDTH - LEFT) / len(times)
    for place in range(0, len(times), max(1, len(times) // 7)):
        lines.append(f'<text x="{LEFT + (place + 0.5) * step:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{times[place]:%m-%d}</text>')
    rows = [
        f'<rect x="{LEFT + 170 * (place % 4)}" y="{HEIGHT + 6 + 18 * (place // 4)}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{LEFT + 16 + 170 * (place % 4)}" y="{HEIGHT + 15 + 18 * (place // 4)}">{escape(app[:24])}</text>'
        for place, (app, colour) in enumerate(named)
    ]
    whole = HEIGHT + 10 + 18 * ((len(named) + 3) // 4)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {whole}" width="{WIDTH}" font-size="12" fill="#1D2433"'
    return f'{head} font-family="system-ui, sans-serif"><title>{escape(title)}</title>{"".join((*lines, *parts, *rows))}</svg>'
