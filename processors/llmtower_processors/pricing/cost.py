"""What pricing answers: a cost in integer nano-USD with its parts, or NULL with the reason."""

from enum import StrEnum
from typing import NamedTuple


class CostStatus(StrEnum):
    """Why a call has the cost it has; `cost_nano_usd` is NULL unless it is PRICED or ESTIMATED_USAGE."""

    PRICED = "priced"
    """Exact: the provider's own figure, or reported tokens times known prices."""
    ESTIMATED_USAGE = "estimated_usage"
    """Known prices, but the tokens were estimated by the producer."""
    UNKNOWN_PROVIDER = "unknown_provider"
    """No price source knows the provider (or, without one, any provider of the model)."""
    UNKNOWN_MODEL = "unknown_model"
    """The provider is known, the model is not."""
    UNPRICED_USAGE = "unpriced_usage"
    """The model is known, but not the price of something the call used (tokens of a model billed by the second, or a newer kind)."""
    NO_USAGE = "no_usage"
    """The call succeeded and nothing says what it used."""
    FAILED = "failed"
    """The call failed before any usage was reported."""


class Cost(NamedTuple):
    """One call's cost in nano-USD, in the order of the columns of `calls`; the four parts add up to `total` exactly.

    The parts are None when only a total is known (a provider's own figure).
    """

    total: int | None
    input: int | None
    """Uncached input, audio and image input."""
    cache: int | None
    """Cache reads and writes."""
    output: int | None
    """Visible, reasoning and audio output."""
    fees: int | None
    """Request and tool fees."""
    status: str
    source: str
    """`provider`, `custom`, `genai-prices`, or empty when there is no cost."""
    version: str
    """Which edition of the source: a package version, or the hash of a prices file."""


def unpriced(status: CostStatus) -> Cost:
    """A cost that is unknown, for the reason given."""
    return Cost(None, None, None, None, None, status.value, "", "")


def reported(nano_usd: int) -> Cost:
    """The provider's own figure: a total without parts."""
    return Cost(nano_usd, None, None, None, None, CostStatus.PRICED.value, "provider", "")
