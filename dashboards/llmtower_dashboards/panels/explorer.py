"""Call explorer: a table of calls, and one call with its steps, tokens, cost lines, scores and feedback."""

from llmtower_dashboards.panel import Dashboard, Row
from llmtower_dashboards.panels.lists import DEAREST, FAILED, RECENT, SLOWEST
from llmtower_dashboards.panels.narrow import NARROWING
from llmtower_dashboards.panels.one_call import CALL, CONTENT, COST_LINES, FEEDBACK, SCORES, STEPS

EXPLORER = Dashboard(
    name="explorer",
    title="Call explorer",
    question="Which calls are behind a figure, and what happened in one of them?",
    rows=(
        Row("Calls", (RECENT, FAILED, SLOWEST, DEAREST)),
        Row("One call", (CALL, COST_LINES, STEPS, SCORES, FEEDBACK, CONTENT)),
    ),
    annotations=False,
    variables=("project", "environment", "app", "model", "provider", "prompt", "user", *NARROWING, "call"),
)
