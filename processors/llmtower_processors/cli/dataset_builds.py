"""What `datasets build`, `show` and `diff` do: options made a question, a build made a version, a version made lines."""

import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from llmtower.ids import new_id
from llmtower_processors.cli.shelves import with_shelf
from llmtower_processors.connection import clickhouse_client
from llmtower_processors.datasets.build import Built, Progress, Target, build, forget, left_over, matching
from llmtower_processors.datasets.condition import safe
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.question import Feedback, Question, microseconds, read_score
from llmtower_processors.datasets.reading import drifted_windows
from llmtower_processors.datasets.shelf import Shelf, difference
from llmtower_processors.drift.slices import moment, span
from llmtower_schemas.datasets import NAME, Manifest

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from llmtower_schemas.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of a build, as they were given."""

    where: str = ""
    last: str = "7d"
    start: str = ""
    end: str = ""
    project: str = "default"
    app: str = ""
    environment: str = ""
    model: str = ""
    prompt: str = ""
    feedback: Feedback = ""
    bad: tuple[str, ...] = ()
    score: tuple[str, ...] = ()
    failed: bool = False
    min_usd: float | None = None
    drifted: bool = False
    random: bool = False
    stratify: str = ""
    size: int = 10_000
    near: float = 0.85
    seed: int = 0

    def given(self) -> dict[str, str]:
        """Give the options that differ from their defaults, as text for the manifest."""
        plain = Asked()
        changed = [field.name for field in fields(self) if getattr(self, field.name) != getattr(plain, field.name)]
        values = asdict(self)
        return {name: ", ".join(values[name]) if isinstance(values[name], tuple) else str(values[name]) for name in changed}


def question_of(asked: Asked, client: "Client", now: datetime) -> Question:
    """Make the options a question. Raises DatasetError or SliceError for what cannot be read."""
    end = moment(asked.end) if asked.end else now
    start = moment(asked.start) if asked.start else end - span(asked.last)
    name, _, version = asked.prompt.partition("@")
    equal = {
        "app": asked.app,
        "environment": asked.environment,
        "request_model": asked.model,
        "prompt_name": name,
        "prompt_version": version,
    }
    windows = drifted_windows(client, asked.project, microseconds(start), microseconds(end)) if asked.drifted else None
    strata = tuple(filter(None, (part.strip() for part in asked.stratify.split(","))))
    return Question(
        project=asked.project, start=start, end=end, equal={column: value for column, value in equal.items() if value},
        feedback=asked.feedback, bad=asked.bad, scores=tuple(map(read_score, asked.score)), failed=asked.failed,
        min_nano_usd=None if asked.min_usd is None else round(asked.min_usd * 1e9), drifted=windows,
        condition=safe(asked.where) if asked.where else "", chance=asked.random or bool(strata), stratify=strata,
        size=asked.size, near=asked.near, seed=asked.seed,
    )  # fmt: skip


def run_build(settings: "Settings", name: str, asked: Asked, *, by: str, note: str, dry_run: bool) -> None:
    """Build a version and say what became of the calls. Raises DatasetError and what the stores raise; then there is no new version."""
    if NAME.fullmatch(name) is None:
        raise DatasetError(f"{name!r} is no name for a dataset: letters, digits, '.', '_' and '-', at most 100.")
    client = clickhouse_client(settings)
    asked_for = question_of(asked, client, datetime.now(UTC))
    if dry_run:
        whole, matched = matching(client, asked_for)
        typer.echo(f"{matched:,} of the {whole:,} calls of the span; a dataset takes at most {asked.size:,} of them. Nothing was written.")
        return
    manifest = _published(settings, client, _Draft(name, asked, asked_for, by, note))
    counts = manifest.counts
    typer.echo(
        f"{manifest.reference}: {counts.kept:,} items. Of {counts.in_span:,} calls {counts.matched:,} matched, {counts.read:,} were read; "
        f"{counts.without_text:,} had no text, {counts.exact_duplicates:,} were equal and {counts.near_duplicates:,} similar to others."
    )
    if redacted := ", ".join(f"{kind} {number:,}" for kind, number in sorted(manifest.redactions.items())):
        typer.echo(f"Redacted: {redacted}.")


@dataclass(frozen=True, slots=True)
class _Draft:
    name: str
    asked: Asked
    question: Question
    by: str
    note: str

    def manifest(self, version: int, build_id: str, built: Built) -> Manifest:
        question = self.question
        return Manifest(
            name=self.name, version=version, build_id=build_id, project=question.project, created_at_us=time.time_ns() // 1_000,
            by=self.by, note=self.note, question=self.asked.given(), start_us=microseconds(question.start),
            end_us=microseconds(question.end), counts=built.counts, redactions=dict(built.redactions), sha256=built.sha256,
        )  # fmt: skip


def _published(settings: "Settings", client: "Client", draft: _Draft) -> Manifest:
    """Build first, publish last: a build that is interrupted is no version, and its rows are deleted now or by a later build."""

    async def known(shelf: Shelf) -> list[str]:
        return [one.build_id for one in shelf.versions(draft.name)]

    for interrupted in left_over(client, draft.name, with_shelf(settings, known)):
        forget(client, interrupted)
    build_id = new_id()
    built = _with_bar(client, draft.question, Target(draft.question.project, draft.name, build_id))

    async def publish(shelf: Shelf) -> Manifest:
        return await shelf.publish(draft.name, lambda version: draft.manifest(version, build_id, built))

    return with_shelf(settings, publish)


def _with_bar(client: "Client", question: Question, target: Target) -> Built:
    from llmtower.personal import redact_personal
    from llmtower.redaction import redact
    from llmtower_processors.cli.bars import bar

    with bar("items") as told:
        progress: Progress = told
        return build(client, question, target, redact=lambda text: redact_personal(redact(text)), progress=progress)


def day(at_us: int) -> str:
    """Give a time to the minute, UTC."""
    return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M}"


def described(one: Manifest) -> list[tuple[str, object]]:
    """Give a manifest as lines."""
    rows: list[tuple[str, object]] = [
        ("dataset", one.reference), ("project", one.project), ("built", f"{day(one.created_at_us)} UTC by {one.by or 'unknown'}"),
        ("note", one.note), ("from", f"{day(one.start_us)} UTC"), ("to", f"{day(one.end_us)} UTC"),
    ]  # fmt: skip
    rows += [(f"asked: {name}", value) for name, value in one.question.items()]
    rows += [(f"calls {name.replace('_', ' ')}", value) for name, value in one.counts.model_dump().items() if name != "kept"]
    rows += [(f"redacted: {kind}", number) for kind, number in sorted(one.redactions.items())]
    return [*rows, ("items", one.counts.kept), ("sha256", one.sha256)]


def differences(client: "Client", a: Manifest, b: Manifest) -> list[tuple[object, ...]]:
    """Give what differs between two versions as lines: question, rows, mix."""
    names = sorted(a.question.keys() | b.question.keys())
    asked = [(name, a.question.get(name, ""), b.question.get(name, "")) for name in names]
    rows: list[tuple[object, ...]] = [("asked", name, x, y) for name, x, y in asked if x != y]
    (both, only_a, only_b), mix = difference(client, a, b)
    rows += [("items", "all", a.counts.kept, b.counts.kept), ("items", "in both", both, both), ("items", "only here", only_a, only_b)]
    for app, model, version, x, y in mix:
        rows.append(("from", " · ".join(filter(None, (app, model, version and f"prompt {version}"))), x, y))
    return rows
