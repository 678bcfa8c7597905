"""What the demo plays: which apps call which models how, and the script of the incident. Literal tables and pure functions."""

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """How one model of the stand-in behaves; times are medians of log-normal distributions."""

    name: str
    snapshot: str
    """What the provider answers as the response's model."""
    first_token_s: float
    tokens_per_s: float
    reasoning_tokens: int = 0
    """Median of hidden reasoning tokens; 0 = the model does not reason."""
    cached_share: float = 0.6
    """Share of calls whose system prompt is read from the provider's cache."""


MODELS: dict[str, ModelProfile] = {
    model.name: model
    for model in (
        ModelProfile("gpt-4o-mini", "gpt-4o-mini-2024-07-18", first_token_s=0.28, tokens_per_s=150),
        ModelProfile("gpt-4o", "gpt-4o-2024-08-06", first_token_s=0.42, tokens_per_s=95),
        ModelProfile("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", first_token_s=0.30, tokens_per_s=140),
        ModelProfile("gpt-4.1", "gpt-4.1-2025-04-14", first_token_s=0.45, tokens_per_s=90),
        ModelProfile("o4-mini", "o4-mini-2025-04-16", first_token_s=0.90, tokens_per_s=130, reasoning_tokens=190),
        ModelProfile("house-llama-8b", "house-llama-8b", first_token_s=0.15, tokens_per_s=60, cached_share=0.0),
    )
}
"""The stand-in's chat models by name; `house-llama-8b` is in no price book."""

EMBEDDING_MODEL = "text-embedding-3-small"


@dataclass(frozen=True, slots=True)
class AppProfile:
    """One application of the demo."""

    name: str
    route: str
    models: dict[str, float]
    """Share of its calls by model."""
    prompt_name: str
    prompt_version: str
    traffic: float
    """Share of all calls that are this app's."""
    stream_share: float
    retrieves: bool = False
    embeds: bool = False
    sync: bool = False
    """Its route is a plain function with the synchronous client."""
    release: str = "1.8.2"

    @property
    def embedding_calls(self) -> int:
        """Calls of the embedding model per question."""
        return int(self.embeds)


APPS: dict[str, AppProfile] = {
    app.name: app
    for app in (
        AppProfile(
            "support-bot",
            "/chat",
            {"gpt-4o-mini": 0.55, "gpt-4o": 0.33, "house-llama-8b": 0.12},
            "support-answer",
            "7",
            traffic=0.42,
            stream_share=0.8,
            retrieves=True,
            release="2.3.1",
        ),
        AppProfile(
            "search-assistant",
            "/search",
            {"gpt-4.1-mini": 0.7, "gpt-4.1": 0.3},
            "search-summary",
            "3",
            traffic=0.28,
            stream_share=0.5,
            retrieves=True,
            embeds=True,
        ),
        AppProfile(
            "code-helper", "/review", {"o4-mini": 0.45, "gpt-4.1": 0.55}, "code-review", "12", traffic=0.14, stream_share=0.7, sync=True
        ),
        AppProfile(
            "summarizer",
            "/summarize",
            {"house-llama-8b": 0.6, "gpt-4.1-mini": 0.4},
            "short-summary",
            "2",
            traffic=0.16,
            stream_share=0.0,
            sync=True,
        ),
    )
}
"""The demo's applications by name."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One scene of the script: what is wrong while it lasts."""

    name: str
    says: str
    """One line for the view."""
    slow_model: str = ""
    error_share: float = 0.0
    toxic_app: str = ""
    drift_app: str = ""
    upgraded_app: str = ""
    """This app sends every call to `UPGRADE_TO` under its next prompt version."""
    rules: tuple[str, ...] = ()
    """Shipped alert rules that can tell of it while the demo lasts; the others want more time or more of a past."""


UPGRADE_TO = "gpt-4o"
UPGRADE_RELEASE = "2.4.0"
UPGRADE_PROMPT_VERSION = "8"
NORMAL = Phase("normal", "All is well.")
PHASES: tuple[Phase, ...] = (
    NORMAL,
    Phase("error burst", "The provider answers 429, 500 and time-outs.", error_share=0.9, rules=("error_rate",)),
    Phase("slow model", "gpt-4.1 answers about four times slower.", slow_model="gpt-4.1"),
    Phase(
        "price jump", "support-bot 2.4.0 (prompt 8) sends every call to gpt-4o.", upgraded_app="support-bot", drift_app="search-assistant"
    ),
    Phase("toxic answers", "support-bot insults its users.", toxic_app="support-bot", drift_app="search-assistant", rules=("toxicity",)),
    Phase("topic drift", "search-assistant is asked about medicine instead of travel.", drift_app="search-assistant"),
)
"""The script, in order. The topics drift two scenes before it is said: a window of ten minutes needs that much of them."""

BY_NAME: dict[str, Phase] = {phase.name: phase for phase in PHASES}

FIRST_SCENE_S = 12.0
SCENE_S = 20.0
CYCLE_S = 180.0
CALM_SHARE = 1 / 3
RECOVERY_SHARE = 0.05
LENGTHS = (5, 2, 2, 2, 2)
"""How long the scenes last beside each other: errors must be a tenth of an app's calls with certainty, calm ones before them counted."""


@dataclass(frozen=True, slots=True)
class Script:
    """The phases with the second at which each starts; an endless one starts over after `length_s`."""

    starts_s: tuple[float, ...]
    phases: tuple[Phase, ...]
    length_s: float
    endless: bool
    begins_s: float = 0.0
    """Second of the live traffic from which the others count: when its first figures were there."""

    def at(self, elapsed_s: float) -> Phase:
        """Give the phase `elapsed_s` seconds after live traffic began."""
        return self.phases[max(bisect_right(self.starts_s, self._moment(elapsed_s)) - 1, 0)]

    def until_next(self, elapsed_s: float) -> float | None:
        """Give the seconds until the next scene; None when none follows."""
        moment = self._moment(elapsed_s)
        ahead = [start - moment for start in self.starts_s if start > moment]
        if ahead:
            return ahead[0]
        return self.length_s - moment + self.starts_s[1] if self.endless else None

    def _moment(self, elapsed_s: float) -> float:
        moment = elapsed_s - self.begins_s
        return moment % self.length_s if self.endless and moment > 0 else moment


def script(seconds: float | None, *, begins_s: float = 0.0) -> Script:
    """Lay the phases over what is left of a run: calm, then one scene after the other; None = an endless cycle of three minutes."""
    if seconds is None:
        lengths = [FIRST_SCENE_S, *[SCENE_S] * (len(PHASES) - 1)]
    else:
        calm = min(FIRST_SCENE_S, seconds * CALM_SHARE)
        stretch = seconds * (1 - RECOVERY_SHARE) - calm
        lengths = [calm, *(stretch * length / sum(LENGTHS) for length in LENGTHS)]
    starts = (0.0, *accumulate(lengths))
    return Script(starts, (*PHASES, NORMAL), CYCLE_S if seconds is None else seconds, endless=seconds is None, begins_s=begins_s)


def pick_model(app: AppProfile, chance: random.Random) -> str:
    """Choose the model of a call."""
    return chance.choices(list(app.models), list(app.models.values()))[0]


def pick_app(chance: random.Random) -> AppProfile:
    """Choose the app of a call by its share of traffic."""
    return chance.choices(list(APPS.values()), [app.traffic for app in APPS.values()])[0]
