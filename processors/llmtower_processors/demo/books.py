"""The books: what the apps say they emitted against what is stored. Pure arithmetic; a difference is an error, never rounded away.

Emitted and stored count *calls* (response events); `events` counts every event a producer emits (request, response, step, feedback,
deploy). Emitted never comes from stored rows: the app counts its calls itself, its SDK counts events, the provider counts requests.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .figures import Stored
from .said import Said


@dataclass(frozen=True, slots=True)
class Account:
    """One side-by-side: emitted, stored, and what does not match."""

    emitted: int = 0
    stored: int = 0
    missing: int = 0
    duplicated: int = 0

    @classmethod
    def of(cls, emitted: int, rows: int, unique: int) -> "Account":
        """Compare a count with rows: `missing` were never stored, `duplicated` were stored again."""
        return cls(emitted, rows, emitted - unique, rows - unique)

    @property
    def balanced(self) -> bool:
        """True when every emitted event is stored exactly once."""
        return self.emitted == self.stored and not self.missing and not self.duplicated

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.emitted + other.emitted, self.stored + other.stored, self.missing + other.missing, self.duplicated + other.duplicated
        )


@dataclass(frozen=True, slots=True)
class AppBooks:
    """The account of one app, or of all."""

    calls: Account
    events: Account
    stored: Stored
    provider_saw: int | None = None

    @property
    def balanced(self) -> bool:
        """True when calls and events match; a dead letter is stored nowhere and so never balances."""
        return self.calls.balanced and self.events.balanced

    def summary(self) -> dict[str, Any]:
        """Give the entry of the JSON summary."""
        return {
            **asdict(self.calls),
            "events": asdict(self.events),
            "dead_letters": self.stored.dead_letters,
            "provider_saw": self.provider_saw,
            "cost_nano_usd": self.stored.cost_nano_usd,
            "unpriced_calls": self.stored.unpriced_calls,
            "duration_p50_us": self.stored.duration_p50_us,
            "duration_p95_us": self.stored.duration_p95_us,
            "ttft_p50_us": self.stored.ttft_p50_us,
            "ttft_p95_us": self.stored.ttft_p95_us,
        }


@dataclass(frozen=True, slots=True)
class Books:
    """All accounts of a set of producers, and everything that is wrong with them."""

    apps: Mapping[str, AppBooks]
    total: AppBooks
    faults: Sequence[str]

    @property
    def balanced(self) -> bool:
        """True when every app balances and no count disagrees with another."""
        return not self.faults

    def summary(self) -> dict[str, Any]:
        """Give `{"apps": {…}, "total": {…}, "balanced": …, "faults": […]}`."""
        return {
            "apps": {app: books.summary() for app, books in self.apps.items()},
            "total": self.total.summary(),
            "balanced": self.balanced,
            "faults": list(self.faults),
        }


def balance(said: Iterable[Said], stored: Mapping[str, Stored], *, rollup_difference: int = 0) -> Books:
    """Compare what producers said with what is stored of them, by app; the entry "" is what is stored of all together."""
    said = list(said)
    names = sorted({entry.app for entry in said} | (set(stored) - {""}))
    apps = {app: _app_books([entry for entry in said if entry.app == app], stored.get(app, Stored())) for app in names}
    faults = [fault for entry in said for fault in entry.disagreements()]
    faults += [fault for app, books in apps.items() for fault in _faults(app, books)]
    if rollup_difference:
        faults.append(f"rollup_1m differs from calls by {rollup_difference}")
    return Books(apps, _total(apps.values(), stored.get("", Stored())), faults)


def _app_books(said: Sequence[Said], stored: Stored) -> AppBooks:
    seen = [entry.provider_saw for entry in said if entry.provider_saw is not None]
    return AppBooks(
        calls=Account.of(sum(entry.calls for entry in said), stored.calls, stored.unique_calls),
        events=Account.of(sum(entry.events for entry in said), stored.events, stored.unique_events),
        stored=stored,
        provider_saw=sum(seen) if seen else None,
    )


def _total(apps: Iterable[AppBooks], overall: Stored) -> AppBooks:
    apps = list(apps)
    seen = [books.provider_saw for books in apps if books.provider_saw is not None]
    return AppBooks(
        calls=sum((books.calls for books in apps), Account()),
        events=sum((books.events for books in apps), Account()),
        stored=overall,
        provider_saw=sum(seen) if seen else None,
    )


def _faults(app: str, books: AppBooks) -> list[str]:
    found = []
    for what, account in (("calls", books.calls), ("events", books.events)):
        if account.missing > 0:
            found.append(f"{app}: {account.missing} {what} missing")
        if account.missing < 0:
            found.append(f"{app}: {-account.missing} {what} stored that nobody says were emitted")
        if account.duplicated:
            found.append(f"{app}: {account.duplicated} {what} stored more than once")
    if books.stored.dead_letters:
        found.append(f"{app}: {books.stored.dead_letters} dead letters (llmtower dead-letters list)")
    return found
