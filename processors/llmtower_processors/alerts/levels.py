"""From where on a figure is bad, and what it is compared with: the parts of a rule in `alerts.yaml`."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from llmtower_processors.alerts.durations import seconds
from llmtower_schemas.alerts import SEVERITIES, Severity

Duration = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float), Field(ge=0, le=366 * 86_400)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class Part(BaseModel):
    """What all parts of a file have in common: unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Level(Part):
    """From where on it is bad, and from where on it is good again (default: the same)."""

    above: float | None = Field(None, description="bad when the value is greater")
    below: float | None = Field(None, description="bad when the value is smaller")
    recover: float | None = Field(None, description="good again at this value or better; between the two nothing changes")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a level needs exactly one of above, below")
        if self.above is not None and self.recover is not None and self.recover > self.above:
            raise ValueError(f"recover ({self.recover:g}) must not be greater than above ({self.above:g})")
        if self.below is not None and self.recover is not None and self.recover < self.below:
            raise ValueError(f"recover ({self.recover:g}) must not be smaller than below ({self.below:g})")
        return self

    @property
    def threshold(self) -> float:
        """The level itself."""
        return float(self.above if self.above is not None else self.below or 0.0)

    @property
    def recovery(self) -> float:
        """Where it is good again."""
        return self.threshold if self.recover is None else self.recover

    def breached(self, value: float) -> bool:
        """Say whether the value is bad."""
        return value > self.threshold if self.above is not None else value < self.threshold

    def recovered(self, value: float) -> bool:
        """Say whether the value is good again; not the opposite of `breached` where there is a gap between the two."""
        if self.breached(value):
            return False
        return value <= self.recovery if self.above is not None else value >= self.recovery


class Levels(Part):
    """At least one of the two."""

    warning: Level | None = None
    critical: Level | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warning is None and self.critical is None:
            raise ValueError("levels needs warning, critical or both")
        if self.warning and self.critical:
            if (self.warning.above is None) != (self.critical.above is None):
                raise ValueError("warning and critical must look the same way: both above, or both below")
            if self.warning.breached(self.critical.threshold) is False and self.warning.threshold != self.critical.threshold:
                raise ValueError("critical must be further out than warning")
        return self

    def graded(self) -> list[tuple[Severity, Level]]:
        """Give the levels there are, the gravest first."""
        found: list[tuple[Severity, Level | None]] = [(severity, getattr(self, severity)) for severity in reversed(SEVERITIES)]
        return [(severity, level) for severity, level in found if level is not None]


class Baseline(Part):
    """Compare with the same hours of the days before: the value becomes a ratio, value / median of those days."""

    days: int = Field(7, ge=1, le=60, description="how many days back")
    min_days: int = Field(3, ge=1, le=60, description="with fewer days that have enough of a sample nothing is judged")
    near: Duration = Field(0.0, description="usual is also what was so much earlier and later: for jobs that do not begin to the minute")
    floor: float = Field(0.0, ge=0, description="a smaller median counts as this: keeps tiny values from alerting (in the metric's unit)")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_days > self.days:
            raise ValueError(f"min_days ({self.min_days}) must not be greater than days ({self.days})")
        if self.near > 6 * 3_600:
            raise ValueError("near must be at most 6h")
        return self


class BurnRate(Part):
    """Bad only when a long and a short window both burn the error budget too fast: the value becomes the smaller of the two burn rates.

    A burn rate is the metric (a share) divided by `budget` (the share that is allowed); see the Google SRE workbook, chapter 5.
    """

    budget: float = Field(gt=0, lt=1, description="the share that may be bad, 0.01 for an objective of 99 %")
    long: Duration = Field(3_600.0, description="long window: that it matters")
    short: Duration = Field(300.0, description="short window: that it still goes on")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not 0 < self.short < self.long:
            raise ValueError("short must be a shorter window than long")
        return self


class Budget(Part):
    """Compare a sum with what may be spent since the period began (UTC): the value becomes a share, 1 = all of it."""

    amount: float = Field(gt=0, description="in the metric's unit, for each group")
    period: Literal["day", "month"] = Field("day", description="begins at midnight UTC, or on the first")
