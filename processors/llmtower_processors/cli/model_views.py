"""What `models …` prints, as rows; NULL stays unknown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from llmtower_processors.drift.compare import compare
from llmtower_processors.drift.slices import Slice
from llmtower_processors.models.figures import Seen, Share, Traffic, snapshots, traffic
from llmtower_schemas.model_store import ModelError
from llmtower_schemas.models import Model, base_of, recognise

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Row = tuple[object, ...]
LISTED: Final = ("model", "stage", "kind", "base", "dataset", "owner", "first_seen", "calls", "usd", "unpriced", "environments")
COMPARED: Final = ("figure", "unit", "a", "b", "verdict")


def made(model: str, *, trained: tuple[str, str], parameters: Sequence[str], **told: object) -> Model:
    """Make options a model; the base that its id names is taken where none is given. Raises ModelError."""
    pairs = dict(part.partition("=")[::2] for part in parameters)
    if any("=" not in part for part in parameters):
        raise ModelError("A --parameter reads name=value: --parameter epochs=3")
    told["base"] = told["base"] or recognise(str(told["provider"]), model).base
    try:
        return Model.model_validate({"model": model, "dataset": trained[0], "dataset_sha256": trained[1], "parameters": pairs, **told})
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"{'.'.join(map(str, first['loc']))}: {first['msg'][:1].lower()}{first['msg'][1:]}.") from None


def price_entry(model: Model, day: date) -> str:
    """Give the entry of a prices file that prices a model as it is noted, from a day on (UTC); '' where no price is noted."""
    usd = {"input_mtok": model.input_usd, "output_mtok": model.output_usd}
    price = ", ".join(f"{unit}: {Decimal(repr(amount)):f}" for unit, amount in usd.items() if amount is not None)
    if not price:
        return ""
    names = {"provider": model.provider, "model": model.model}
    quoted = [f"{key}: {json.dumps(name)}" for key, name in names.items() if name]
    return "\n    ".join(["prices:\n  - " + quoted[0], *quoted[1:], f"valid_from: {day}", f"price: {{{price}}}"])


def listed(known: Mapping[str, Model], found: Iterable[Seen]) -> list[Row]:
    """Give registered models and those only seen, most used first."""
    traffic_of: dict[str, list[Seen]] = {}
    for one in found:
        traffic_of.setdefault(one.model, []).append(one)
    rows = [_listed(model, known.get(model), traffic_of.get(model, [])) for model in known.keys() | traffic_of.keys() if model]
    return sorted(rows, key=lambda row: (-int(str(row[7])), str(row[0])))


def _listed(model: str, one: Model | None, traffic_: Sequence[Seen]) -> Row:
    provider = one.provider if one else traffic_[0].provider
    form = recognise(provider, model)
    first = f"{min(seen.first for seen in traffic_):%Y-%m-%d %H:%M}" if traffic_ else None
    environments = sorted({name for seen in traffic_ for name in seen.environments})
    sums = (sum(seen.calls for seen in traffic_), round(sum(seen.usd for seen in traffic_), 4), sum(seen.unpriced for seen in traffic_))
    base = (one.base if one else "") or form.base
    told = (one.dataset, one.owner) if one else ("", "")
    return (model, one.stage if one else "unregistered", form.kind, base, *told, first, *sums, ", ".join(environments))


def shown(
    client: "Client", project: str, model: str, entries: Sequence[tuple[int, Model]], tuned: Sequence[str], start: datetime, end: datetime
) -> list[Row]:
    """Give all that is known of one model. Raises ModelError for one that was neither registered nor called."""
    (figures,) = traffic(client, project, [model], start, end)
    answered = snapshots(client, project, model)
    if not entries and not figures.calls and not answered:
        raise ModelError(f"Nobody registered {model}, and project {project} never called it. `llmtower models list` shows what there is.")
    rows: list[Row] = [("model", model), *_registered(entries[-1][1] if entries else None, model)]
    rows += [("fine-tune of it", one) for one in tuned]
    rows += [("history", f"{_minute(at)} {one.action} → {one.stage} by {one.by or 'unknown'}") for at, one in entries]
    rows += [(f"{name}, {unit}" if unit else name, value) for name, unit, value, _ in lines(figures)]
    return rows + [
        (
            "answered by",
            f"{name}: {calls:,} calls, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, {rate:.2%} errors, {mean:.2f} s{_priced(usd)}",
        )
        for name, first, last, calls, rate, mean, usd in answered
    ]


def _priced(usd: float | None) -> str:
    return ", unpriced" if usd is None else f", ${usd:.4g} per 1,000 calls"


def _registered(one: Model | None, model: str) -> list[Row]:
    if one is None:
        return [("stage", "unregistered"), ("kind", recognise("", model).kind)]
    prices = [(f"price of {name}, USD per million tokens", usd) for name, usd in (("input", one.input_usd), ("output", one.output_usd))]
    told: list[Row] = [("stage", one.stage), ("kind", recognise(one.provider, model).kind), ("provider", one.provider), ("base", one.base)]
    told += [("trained on", one.dataset), ("its sha256", one.dataset_sha256), ("job", one.job), ("owner", one.owner)]
    told += [(f"parameter {name}", value) for name, value in one.parameters.items()] + [pair for pair in prices if pair[1] is not None]
    return [row for row in (*told, ("licence", one.licence), ("note", one.note)) if row[1] != ""]


def lines(one: Traffic) -> list[tuple[str, str, object, Share | None]]:
    """Give the figures of a model: name, unit, value, and the share behind it where it is one."""
    return [
        ("calls", "", one.calls, None),
        ("cost", "USD", _short(one.usd), None),
        ("unpriced calls", "", one.unpriced, None),
        ("cost per 1,000 priced calls", "USD", _short(one.usd_per_1000), None),
        ("output tokens per call", "", _short(one.output_tokens), None),
        ("p50 duration", "s", _short(one.p50_s), None),
        ("p95 duration", "s", _short(one.p95_s), None),
        ("errors", "%", _percent(one.errors), one.errors),
        ("negative feedback", "%", _percent(one.negative), one.negative),
        *((f"bad {name}", "%", _percent(bad), bad) for name, bad in sorted(one.bad.items())),
    ]


def other_of(model: str, other: str, known: Mapping[str, Model]) -> str:
    """Give what a model is held against. Raises ModelError when nobody says what its base is."""
    against = other or base_of(model, known[model].provider if model in known else "", known)
    if not against:
        raise ModelError(f"Nobody said what {model} was trained from. Name the other model: llmtower models compare {model} OTHER")
    if against == model:
        raise ModelError("These are the same model. Name two.")
    return against


def compared(client: "Client", project: str, a: str, b: str, start: datetime, end: datetime) -> list[Row]:
    """Give two models' figures side by side. Raises ModelError when one of them was not called."""
    sides = traffic(client, project, [a, b], start, end)
    for one in sides:
        if not one.calls:
            raise ModelError(f"Project {project} did not call {one.model} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC.")
    found = [{name: (unit, value, rate) for name, unit, value, rate in lines(one)} for one in sides]
    rows: list[Row] = [("model", "", a, b, "")]
    for name in dict.fromkeys((*found[0], *found[1])):
        (unit, x, p), (_, y, q) = (side.get(name, ("", None, None)) for side in found)
        rows.append((name, unit or found[1].get(name, ("",))[0], x, y, _verdict(p, q)))
    return rows + _drifts(client, project, a, b, start, end)


def _verdict(p: Share | None, q: Share | None) -> str:
    if p is None or q is None:
        return ""
    if p.value is None or q.value is None:
        return "insufficient"
    return "differs" if p.low > q.high or q.low > p.high else "no difference seen"


def _drifts(client: "Client", project: str, a: str, b: str, start: datetime, end: datetime) -> list[Row]:
    minute = timedelta(minutes=1)
    span = (start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0) + minute)
    slices = [Slice({"project": project, "request_model": model}, *span) for model in (a, b)]
    found = [(one, f"{one.verdict} ({max(0.0, one.mmd2) ** 0.5:.3f})") for one in compare(client, slices[0], slices[1])]
    return [(f"drift of {one.direction}s", "MMD", one.counts["texts_a"], one.counts["texts_b"], verdict) for one, verdict in found]


def _percent(one: Share) -> str | None:
    return None if one.value is None else f"{one.value:.2%} ({one.low:.2%} to {one.high:.2%} of {one.of:,})"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _minute(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1e3, UTC):%Y-%m-%d %H:%M}"
