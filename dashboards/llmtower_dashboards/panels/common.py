"""Columns and sentences that panels share."""

from typing import Final

from llmtower_dashboards.panel import Behind, Column, PanelUnit, Span

NO_CALLS: Final = "No calls in this range: widen it, clear a filter, or see on the Pipeline page whether events arrive."
NO_STREAM: Final = "No streamed calls in this range: only a streamed call has a first token."
NO_PRICE: Final = "No priced calls in this range: see the unpriced calls on the Cost page, and give own prices with LLMTOWER_PRICES_FILE."

TIME: Final = Column("time", "Time", "time")
APP: Final = Column("app", "App", "text", link="app")
MODEL: Final = Column("model", "Model", "text", link="model")
PROVIDER: Final = Column("provider", "Provider", "text")
PROMPT: Final = Column("prompt", "Prompt", "text", link="prompt")
VERSION: Final = Column("version", "Version", "text")
CALLS: Final = Column("calls", "Calls", "calls", link="calls")
SAMPLE: Final = Column("sample", "Calls", "calls", link="calls")
COST: Final = Column("cost", "Cost", "usd")
UNPRICED: Final = Column("unpriced", "Unpriced calls", "calls", link="calls")


def figure(title: str, unit: PanelUnit) -> tuple[Column, Column]:
    """The two columns of a figure that is compared with trailing days."""
    return Column("value", title, unit, link="calls"), Column("baseline", "Same hours before", unit)


def only(*values: str, span: Span = "range", **variables: str) -> Behind:
    """The calls behind a panel that counts only some of them: values of the explorer's variable `only`, and of others."""
    return Behind(only=(*variables.items(), *(("only", value) for value in values)), span=span)


FAILED: Final = only("failed")
SLOWEST: Final = Behind(listed="slowest")
DEAREST: Final = Behind(listed="dearest")
