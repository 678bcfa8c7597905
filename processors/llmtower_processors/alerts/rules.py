"""What may stand in `alerts.yaml`: rules, their levels and routes. How a file is read, and what it says when it cannot, is in `load.py`."""

import re
from difflib import get_close_matches
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from llmtower_processors.alerts.levels import Baseline, Budget, BurnRate, Duration, Levels, Name, Part
from llmtower_schemas.alerts import SEVERITIES, Severity
from llmtower_schemas.metrics import METRICS, SOURCES, Metric, Source
from llmtower_schemas.prompts import EXPERIMENT

BLIND = "evaluator_blind_seconds"
"""Not a metric of tables: how long the evaluator has not been able to judge, as it knows itself. Groups: `what` it cannot see."""

MAX_WINDOW_S = 31 * 86_400.0

Chosen = dict[str, list[str]]
"""Values by dimension."""
EXCEPT: Final[Chosen] = {"environment": [EXPERIMENT], "app": ["llmtower-judge"]}
"""What no rule looks at unless the file says otherwise: `prompts test` runs, and the judge's own calls."""
_EXCEPT: Final = re.compile(r"\{except_([a-z_]+):")


class Rule(Part):
    """One question that is asked again and again, and whom to tell of a bad answer."""

    name: Name = Field(description="names it for ever: part of every incident's key")
    title: str = Field("", max_length=200, description="what people read; default: the name")
    enabled: bool = True
    metric: str | None = Field(None, description="one of the metrics", json_schema_extra={"enum": [*METRICS, BLIND]})
    sql: str | None = Field(
        None,
        min_length=1,
        max_length=20_000,
        description="in place of a metric: SELECT <group_by …>, value, sample; {start:DateTime64(6)} to {end:DateTime64(6)} is the window",
    )
    unit: str = Field("", max_length=32, description="unit of the value of `sql`")
    where: Chosen = Field(default_factory=dict, description="only rows with one of these values")
    except_: Chosen | None = Field(None, alias="except", description="in place of the file's `except`; {} = all rows")
    group_by: tuple[str, ...] = Field(("project", "app"), max_length=6, description="one alert for each combination of values")
    top: int = Field(100, ge=1, le=1_000, description="at most so many groups, those with the largest sample")
    window: Duration = Field(300.0, description="how far back a value looks")
    baseline: Baseline | None = None
    burn_rate: BurnRate | None = None
    budget: Budget | None = None
    levels: Levels
    for_: Duration = Field(0.0, alias="for", description="it must have been bad for so long")
    recover_for: Duration = Field(60.0, description="it must have been good again for so long")
    min_sample: float = Field(0.0, ge=0, description="with fewer calls (or events) nothing is judged")
    sure: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="for shares: a level is passed only when that is so certain (Wilson's interval); 0 = plain value",
    )
    no_data: Literal["ok", "alert", "keep"] = Field("ok", description="what a window without rows means for a group that had some")
    routes: tuple[Name, ...] = Field(("default",), description="names of routes")
    renotify: Duration = Field(4 * 3_600.0, description="reminder while it goes on; 0 = none")
    runbook: str = Field("", max_length=2_000, description="address of what to do")
    panel: str = Field("", max_length=200, description="panel that shows it; default: one of the metric")
    grafana: bool = Field(False, description="told by Grafana (`dashboards push --alerts`); judged here as a shadow, nobody is told twice")

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in METRICS and name != BLIND:
            nearest = get_close_matches(name, [*METRICS, BLIND], n=1, cutoff=0.5)
            raise ValueError(
                f"no metric is called {name!r}" + (f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(METRICS)}")
            )
        return name

    @field_validator("sql")
    @classmethod
    def _reads(cls, sql: str | None) -> str | None:
        if sql is not None and not re.match(r"\s*(SELECT|WITH)\b", sql, re.IGNORECASE):
            raise ValueError("sql must begin with SELECT or WITH: it may only read")
        return sql

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.metric is None) == (self.sql is None):
            raise ValueError("a rule needs exactly one of metric, sql")
        if sum(part is not None for part in (self.baseline, self.burn_rate, self.budget)) > 1:
            raise ValueError("a rule has at most one of baseline, burn_rate, budget")
        if not 0 < self.window <= MAX_WINDOW_S:
            raise ValueError("window must be longer than nothing and at most 31d")
        if self.measured:
            self._fits_source(self.measured.source)
        if self.sql and (lacking := (self.except_ or {}).keys() - _EXCEPT.findall(self.sql)):
            raise ValueError(f"except: sql must say itself where it leaves out {min(lacking)} ({{except_{min(lacking)}:Array(String)}})")
        if self.sure and not self.shares:
            raise ValueError("sure is for shares (unit ratio): of other figures no interval is known")
        if 0 < self.sure < 0.5:
            raise ValueError("sure must be at least 0.5")
        self._can_happen()
        return self

    def _can_happen(self) -> None:
        """Refuse levels that no value can ever pass: figures are never below 0, shares never above 1."""
        share = self.measured is not None and self.measured.unit == "ratio"
        if self.burn_rate and self.measured and not share:
            raise ValueError(f"burn_rate needs a share, and {self.metric} is in {self.measured.unit}")
        if self.budget and self.measured and self.measured.unit not in ("usd", "tokens", "calls", "events"):
            raise ValueError(f"budget needs a sum, and {self.metric} is in {self.measured.unit}")
        most = 1 / self.burn_rate.budget if self.burn_rate else 1.0 if share and not self.baseline else None
        for severity, level in self.levels.graded():
            if level.below is not None and level.below <= 0 and not self.sql:
                raise ValueError(f"{severity}: no value of {self.metric} is ever below {level.below:g}")
            if level.above is not None and most is not None and level.above >= most:
                raise ValueError(f"{severity}: no value of {self.metric} is ever above {level.above:g} here (the most is {most:g})")

    def _fits_source(self, source: Source) -> None:
        finest = source.resolutions[0][0]
        for field, names in (("group_by", self.group_by), ("where", self.where), ("except", self.except_ or {})):
            if lacking := next((name for name in names if name not in source.dimensions), None):
                raise ValueError(f"{field}: {self.metric} has no dimension {lacking!r}; there are {', '.join(source.dimensions)}")
        windows = [self.burn_rate.short, self.burn_rate.long] if self.burn_rate else [] if self.budget else [self.window]
        for window in windows:
            if window < finest:
                field = "burn_rate" if self.burn_rate else "window"
                raise ValueError(f"{field}: {self.metric} is kept in buckets of {finest} s: a window of {window:g} s is too short")

    def without(self, left_out: Chosen) -> Self:
        """Leave these out where the rule does not say itself what it leaves out, or asks for them."""
        if self.except_ is not None:
            return self
        known = _EXCEPT.findall(self.sql or "") if self.measured is None else self.measured.source.dimensions
        return self.model_copy(update={"except_": {name: left_out[name] for name in left_out if name in known and name not in self.where}})

    @property
    def conditions(self) -> list[tuple[str, Literal["IN", "NOT IN"], tuple[str, ...]]]:
        """Which rows it looks at, by dimension; of SQL of one's own nothing, as that says so itself."""
        if self.sql:
            return []
        sides: tuple[tuple[Literal["IN", "NOT IN"], Chosen], ...] = (("IN", self.where), ("NOT IN", self.except_ or {}))
        return [(name, relation, tuple(chosen[name])) for relation, chosen in sides for name in sorted(chosen) if chosen[name]]

    @property
    def left_out(self) -> Chosen:
        """By name, the parameters `except_…` that its SQL uses."""
        return {f"except_{name}": (self.except_ or {}).get(name, []) for name in _EXCEPT.findall(self.sql or "")}

    @property
    def measured(self) -> Metric | None:
        """The metric; None for SQL and for what the evaluator knows itself."""
        return METRICS.get(self.metric) if self.metric else None

    @property
    def shares(self) -> bool:
        """Whether what it asks for is a share of its sample."""
        unit = self.measured.unit if self.measured else self.unit
        return unit == "ratio" and not self.budget

    @property
    def grouping(self) -> tuple[str, ...]:
        """What tells its alerts apart."""
        return self.group_by if self.queried else ("what",)

    @property
    def queried(self) -> bool:
        """Whether it is a question to the tables."""
        return self.metric != BLIND

    @property
    def heading(self) -> str:
        """What people read."""
        return self.title or self.name.replace("_", " ").replace("-", " ").capitalize()

    @property
    def value_unit(self) -> str:
        """Unit of the value that levels are compared with."""
        if self.baseline:
            return "x"
        if self.burn_rate:
            return "x budget"
        if self.budget:
            return "ratio"
        return self.measured.unit if self.measured else "seconds" if self.metric == BLIND else self.unit


class Route(Part):
    """Where notifications go. Secrets are named, never written: `*_env` names an environment variable."""

    kind: Literal["webhook", "alertmanager", "apprise"] = "webhook"
    url: str = Field("", max_length=2_000, description="address without secrets")
    url_env: str = Field("", pattern=r"^[A-Z0-9_]*$", description="environment variable that holds the address")
    secret_env: str = Field("", pattern=r"^[A-Z0-9_]*$", description="environment variable that holds the key of the signature")
    severities: tuple[Severity, ...] = Field(SEVERITIES, description="only these")
    resolved: bool = Field(True, description="tell also when it is over")
    digest: Duration = Field(30.0, description="storm control: at most `burst` messages within this time; what is more is told as one")
    burst: int = Field(5, ge=1, le=1_000, description="messages within `digest`; something critical waits 5 s at most all the same")


class Rules(Part):
    """A file of rules."""

    version: Literal[1] = 1
    include_defaults: bool = Field(False, description="also the rules shipped with Llmtower; a rule of the same name here replaces one")
    routes: dict[Name, Route] = Field(default_factory=dict, description="by name; `default` is used where a rule names none")
    except_: Chosen = Field(default_factory=EXCEPT.copy, alias="except", description="rows that no rule looks at; a rule's own goes first")
    rules: tuple[Rule, ...] = ()

    @field_validator("except_")
    @classmethod
    def _is_known(cls, left_out: Chosen) -> Chosen:
        known = list(dict.fromkeys(name for source in SOURCES.values() for name in source.dimensions))
        for name in left_out:
            if name not in known:
                raise ValueError(f"no metric has a dimension {name!r}; there are {', '.join(known)}")
        return left_out

    def settled(self) -> Self:
        """Tell every rule what the file leaves out."""
        return self.model_copy(update={"rules": tuple(rule.without(self.except_) for rule in self.rules)})

    def active(self) -> tuple[Rule, ...]:
        """The rules that are to be judged."""
        return tuple(rule for rule in self.rules if rule.enabled)
