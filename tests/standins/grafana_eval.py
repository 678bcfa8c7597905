"""How Grafana judges a rule and what it keeps for the templates of its annotations, as far as our rules use it.

Facts from `pkg/expr` and `pkg/services/ngalert/eval` (11 to 13): a table of text and exactly one number is a number per row, its texts
are labels. An alert's labels are those of the condition's row. Of every other query it keeps the row with the same labels, else one whose
labels contain those of the alert or are contained in them. A query without rows, or that fails, makes the whole rule one without data, in
all versions whose `IsNoData` says `hasNoFrames || hasNoFields` (one had `&&`); only the failure of what the condition looks at is an error
(`FindConditionError`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["Alerting", "Normal", "NoData", "Error"]


@dataclass(frozen=True)
class Answer:
    """What a query gave."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def numbers(self) -> list[tuple[dict[str, str], float | None]]:
        """Read it as numbers with labels. Raises ValueError where Grafana takes it for something else."""
        found = []
        for row in self.rows:
            given = dict(zip(self.columns, row, strict=True))
            numbers = [name for name, value in given.items() if not isinstance(value, str)]
            if len(numbers) != 1:
                raise ValueError(f"input data must be a wide series but got type not: {len(numbers)} numbers in a row")
            found.append(({name: value for name, value in given.items() if name not in numbers}, given[numbers[0]]))
        return found


@dataclass(frozen=True)
class Alert:
    """One instance of a rule."""

    state: State
    labels: Mapping[str, str]
    values: Mapping[str, tuple[Mapping[str, str], float]]
    """By query: labels and number."""


def evaluate(rule: Mapping[str, Any], answers: Mapping[str, Answer | None]) -> list[Alert]:
    """Judge a rule on what its queries gave; None: it failed."""
    condition = next(one["model"] for one in rule["data"] if one["refId"] == rule["condition"])
    if answers[condition["expression"]] is None:
        return [Alert("Error", {}, {})]
    silent = sorted(name for name, answer in answers.items() if answer is None or not answer.rows)
    if silent:
        return [Alert("NoData", {"datasource_uid": rule["data"][0]["datasourceUid"], "ref_id": ",".join(silent)}, {})]
    numbers = {name: answer.numbers() for name, answer in answers.items() if answer}
    judged = numbers[condition["expression"]]
    if len({tuple(sorted(labels.items())) for labels, _ in judged}) < len(judged):
        raise ValueError("frame cannot uniquely be identified by its labels")
    evaluator = condition["conditions"][0]["evaluator"]
    alerts = []
    for labels, value in judged:
        passed = value is not None and (value > evaluator["params"][0] if evaluator["type"] == "gt" else value < evaluator["params"][0])
        state: State = "NoData" if value is None else "Alerting" if passed else "Normal"
        kept = {name: _kept(labels, found) for name, found in numbers.items()}
        alerts.append(Alert(state, labels, {name: one for name, one in kept.items() if one} | {rule["condition"]: (labels, float(passed))}))
    return alerts


def told(rule: Mapping[str, Any], alert: Alert) -> str:
    """Say by which name people are told of it: "" not at all, "kept" as before (`pkg/services/ngalert/state`)."""
    named = {"OK": "", "KeepLast": "kept", "Alerting": rule["title"], "NoData": "DatasourceNoData", "Error": "DatasourceError"}
    setting = {"Alerting": "Alerting", "Normal": "OK", "NoData": rule["noDataState"], "Error": rule["execErrState"]}
    return str(named[setting[alert.state]])


def _kept(labels: Mapping[str, str], found: Sequence[tuple[Mapping[str, str], float | None]]) -> tuple[Mapping[str, str], float] | None:
    same = [one for one in found if one[0] == labels]
    near = [one for one in found if one[0].items() >= labels.items() or one[0].items() <= labels.items()]
    if len(same or near) > 1:
        raise ValueError("it is chance which of several rows an annotation sees")
    return next(((of, float("nan") if value is None else float(value)) for of, value in same or near), None)
