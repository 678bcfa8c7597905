"""Rules for tests, from the text that a user would write."""

from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.rules import Rule

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def rule(
    text: str = "", *, name: str = "errors", levels: str = "{warning: {above: 0.1, recover: 0.05}, critical: {above: 0.5, recover: 0.4}}"
) -> Rule:
    """Make a rule on the error rate; `text` holds more keys in YAML's short form."""
    more = f", {text}" if text else ""
    (made,) = parse_rules(f"rules: [{{name: {name}, metric: error_rate, group_by: [app], levels: {levels}{more}}}]").rules
    return made
