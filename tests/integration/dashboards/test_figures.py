"""Every panel, asked of the real engine, says what plain Python computes from the same rows; and "no data" where there is none."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from tests.integration.dashboards.columns import Key
from tests.integration.dashboards.conftest import Place, Places
from tests.integration.dashboards.expected import EXPECTED, Calls, Rows
from tests.integration.dashboards.expected_changes import Detail
from tests.integration.dashboards.oracle import Between, Found, Look, OneOf
from tests.integration.dashboards.pipeline import END
from tests.integration.dashboards.world import World, many

from llmtower_dashboards.ask import Answer, AskError
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.panels.variables import MAX_LISTED
from llmtower_dashboards.registry import ANNOTATIONS, PANELS, VARIABLES

pytestmark = pytest.mark.integration

CHOSEN: Final = {
    "project": ["default"],
    "environment": ["production", "experiment"],
    "app": ["chat", "shop"],
    "model": ["gpt-4o", "claude-haiku-4-5"],
    "provider": ["openai"],
    "prompt": ["greet"],
    "user": ["user0", "user1", "user3"],
}
"""Of each filter some values, so that every one of them leaves out something that all others let through."""
FRAMES: Final = {
    "six hours, by minutes": Frame(END - timedelta(hours=6), END, 600),
    "an hour of one app, by the minute": Frame(END - timedelta(hours=1), END, 60, {"app": ["chat"], "environment": ["production"]}),
    "three days, by hours": Frame(END - timedelta(days=3), END, 7_200),
    "six hours of what every filter chooses": Frame(END - timedelta(hours=6), END, 1_200, CHOSEN),
}
WIDE: Final = FRAMES["three days, by hours"]
OF_A_MILLION: Final = {
    "nine days, all of them": Frame(END - timedelta(days=9), END, 21_600),
    "six hours of what every filter chooses": Frame(END - timedelta(hours=6), END, 600, CHOSEN),
}
APPS: Final = ("chat", "search", "shop")
ALWAYS_THERE: Final = {"pipeline_room"}
"""Panels that do not depend on the range."""


def plain(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def as_key(value: Any) -> Any:
    """Ends of cells are powers of two in floating point, which is not the same everywhere."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def by_keys(answer: Answer, keys: tuple[str, ...]) -> Found:
    names = [column.name for column in answer.columns]
    found = {}
    for row in answer.rows:
        values = {name: plain(value) for name, value in zip(names, row, strict=True)}
        key = tuple(as_key(values.pop(name)) for name in keys)
        assert key not in found, f"two rows for {key}"
        found[key] = values
    return found


def same(found: Any, right: Any) -> bool:
    if isinstance(right, (Between, Detail, OneOf)):
        return right.holds(found)
    if isinstance(right, (int, float)) and isinstance(found, (int, float)):
        return found == pytest.approx(right, rel=1e-9, abs=1e-12)
    return bool(found == right)


def differences(panel: Panel, answer: Answer | AskError, expected: Rows, right: Found) -> list[str]:
    """Say where an answer is wrong: rows that are missing, rows too many, figures that differ."""
    if isinstance(answer, AskError):
        return [f"{panel.name}: {answer} {str(answer.__cause__)[:400]}"]
    found, right = by_keys(answer, expected.keys), {tuple(map(as_key, key)): values for key, values in right.items()}
    wrong = [f"{panel.name}: row {key} should not be there: {found[key]}" for key in found.keys() - right.keys()]
    if len(right) <= expected.limit:
        wrong += [f"{panel.name}: no row {key}" for key in right.keys() - found.keys()]
    else:
        wrong += misplaced(panel, expected, list(found), right)
    for key in found.keys() & right.keys():
        assert right[key].keys() == found[key].keys(), (
            f"{panel.name}: {found[key].keys() ^ right[key].keys()} expected or answered, not both"
        )
        wrong += [
            f"{panel.name} {key} {name}: {found[key][name]!r}, not {value!r}"
            for name, value in right[key].items()
            if not same(found[key][name], value)
        ]
    return wrong


def misplaced(panel: Panel, expected: Rows, listed: list[Key], right: Found) -> list[str]:
    """Say where a list of the biggest is not that; of equals any may be listed."""
    figures = [-math.inf if (value := right[key][expected.biggest]) is None else float(value) for key in listed if key in right]
    left_out = [float(right[key][expected.biggest] or 0) for key in right.keys() - set(listed)]
    wrong = [f"{panel.name}: {len(listed)} rows, not {expected.limit}"] if len(listed) != expected.limit else []
    wrong += [f"{panel.name}: not in order of {expected.biggest}"] if figures != sorted(figures, reverse=True) else []
    return wrong + ([f"{panel.name}: bigger ones are missing"] if max(left_out) > min(figures) * (1 + 1e-9) else [])


class Looks:
    """A world through a frame, by panel: of the frame's filters only those that it follows."""

    def __init__(self, world: World, frame: Frame) -> None:
        self._world, self._frame = world, frame
        self._made: dict[frozenset[str], Look] = {}

    def of(self, panel: Panel) -> Look:
        """The frame as that panel sees it; alike for panels that follow the same filters."""
        chosen = {name: values for name, values in self._frame.variables.items() if name in panel.variables}
        return self._made.setdefault(frozenset(chosen), Look(self._world, replace(self._frame, variables=chosen)))


def test_every_panel_has_its_expectation() -> None:
    assert EXPECTED.keys() == PANELS.keys(), "say in expected.py what each panel must answer"


def test_every_figure_is_known_and_not_only_zero_in_some_frame() -> None:
    """What is compared only as nothing with nothing is not compared."""
    world, seen = many(), set()
    for frame in FRAMES.values():
        looks = Looks(world, frame)
        for name, expected in EXPECTED.items():
            if isinstance(expected, Rows):
                rows = expected.find(looks.of(PANELS[name])).values()
                seen |= {f"{name}.{figure}" for values in rows for figure, value in values.items() if value}
    figures = {f"{name}.{column.name}" for name, panel in PANELS.items() for column in panel.columns if _compared(name, column.name)}
    assert not figures - seen


def _compared(panel: str, column: str) -> bool:
    expected = EXPECTED[panel]
    return isinstance(expected, Rows) and column not in expected.keys


@pytest.mark.parametrize("name", FRAMES)
def test_figures_equal_an_independent_computation(places: Places, name: str) -> None:
    assert not compared(places["many"], FRAMES[name])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OF_A_MILLION)
def test_figures_over_a_million_calls_equal_an_independent_computation(places: Places, name: str) -> None:
    assert len(places["million"].world["calls"]) == 1_000_000
    assert not compared(places["million"], OF_A_MILLION[name])


def compared(place: Place, frame: Frame) -> str:
    """Say where panels differ from what the oracle computes."""
    looks = Looks(place.world, frame)
    chosen = [panel for panel in PANELS.values() if isinstance(EXPECTED[panel.name], (Rows, Calls))]
    wrong: list[str] = []
    for panel, answer in zip(chosen, place.ask_all(chosen, frame), strict=True):
        expected, look = EXPECTED[panel.name], looks.of(panel)
        if isinstance(expected, Rows):
            wrong += differences(panel, answer, expected, expected.find(look))
        elif isinstance(answer, AskError):
            wrong.append(f"{panel.name}: {answer} {str(answer.__cause__)[:400]}")
        elif isinstance(expected, Calls):
            index = [column.name for column in answer.columns].index("call")
            ids, right = [row[index] for row in answer.rows], list(expected.find(look))
            wrong += [] if ids == right else [f"{panel.name}: {len(ids)} calls, not the {len(right)} that should be listed"]
    return "\n".join(wrong)


def test_nothing_is_no_data_and_never_zero(places: Places) -> None:
    wrong = []
    for panel, answer in zip(PANELS.values(), places["empty"].ask_all(list(PANELS.values()), WIDE), strict=True):
        if isinstance(answer, AskError):
            wrong.append(f"{panel.name}: {answer} {str(answer.__cause__)[:400]}")
        elif panel.name not in ALWAYS_THERE and answer.rows:
            wrong.append(f"{panel.name}: {answer.rows[:1]}")
    assert not wrong, "\n".join(wrong)


def test_one_call_without_a_price(places: Places) -> None:
    """Money is NULL or comes with its unpriced call; nothing is NaN or infinite."""
    place = places["single"]
    frame = Frame(END - timedelta(hours=1), END, 60)
    look = Look(place.world, frame)
    wrong: list[str] = []
    for panel, answer in zip(PANELS.values(), place.ask_all(list(PANELS.values()), frame), strict=True):
        for row in [] if isinstance(answer, AskError) else answer.rows:
            odd = [value for value in row if isinstance(value, float) and not math.isfinite(value)]
            wrong += [f"{panel.name}: {odd}"] if odd else []
        expected = EXPECTED[panel.name]
        if isinstance(expected, Rows):
            wrong += differences(panel, answer, expected, expected.find(look))
    assert not wrong, "\n".join(wrong)
    by_model = by_keys(place.ask(PANELS["cost_by_model"], frame), ("model", "provider"))
    ((_, values),) = by_model.items()
    assert (values["cost"], values["cost_per_call"], values["unpriced"]) == (0, None, 1)


@pytest.mark.parametrize("seconds", [60, 600, 3_600])
def test_processes_that_follow_each_other_are_not_added_up(places: Places, seconds: int) -> None:
    """Six of one core each, never two at once, are one core: in every bucket, the first and the last included."""
    found = places["many"].ask(PANELS["pipeline_own_cpu"], Frame(END - timedelta(hours=1), END, seconds))
    cores = [cores for _, process, cores in found.rows if process == "scoring"]
    assert len(cores) == 3_600 // seconds
    assert cores == pytest.approx([1.0] * len(cores))


@pytest.mark.parametrize("world", ["many", "million"])
def test_every_variable_lists_what_the_range_has(places: Places, world: str) -> None:
    place = places[world]
    calls = Look(place.world, WIDE).calls()
    for name, column in (
        ("app", "app"),
        ("model", "request_model"),
        ("prompt", "prompt_name"),
        ("user", "user_id"),
        ("provider", "provider"),
    ):
        counted = {value: len(found) for (value,), found in calls.groups((column,)) if value}
        assert place.values(VARIABLES[name], WIDE) == sorted(counted, key=lambda value: (-counted[value], value))[:MAX_LISTED], name
    only = Frame(WIDE.start, WIDE.end, 60, {"app": ["nobody"]})
    assert place.values(VARIABLES["model"], only) == []
    assert place.values(VARIABLES["call"], only) == []


def test_annotations(places: Places) -> None:
    def marks(name: str, frame: Frame) -> list[tuple[Any, ...]]:
        return [tuple(row[1:3]) for row in places["many"].ask(ANNOTATIONS[name], frame).rows]

    day = Frame(END - timedelta(days=1), END, 600)
    assert marks("annotation_deploys", day) == [("deploy version 7", "shop: by hand"), ("deploy version 1.1", "chat: by hand")]
    assert sorted(marks("annotation_prompts", day)) == [("prompt greet 2", app) for app in APPS]
    assert marks("annotation_models", day) == []
    idle = ("rollback idle staging 2 → 1", ": by anna")
    assert marks("annotation_moves", day) == [("promote greet production 1 → 2", f"{app}: by anna") for app in APPS] + [idle]
    one = Frame(day.start, day.end, 600, {"app": ["chat"]})
    assert marks("annotation_moves", one) == [("promote greet production 1 → 2", "chat: by anna"), idle]
    models = ("claude-haiku-4-5", "gpt-4o", "o4-mini")
    other = [(f"snapshot {model} → {model}-new", app) for app in APPS for model in models]
    assert sorted(marks("annotation_snapshots", day)) == sorted(other)
    assert not any(places["empty"].ask(mark, day).rows for mark in ANNOTATIONS.values())
