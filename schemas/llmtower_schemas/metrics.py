"""What can be asked of the tables: one expression per metric, from which panels, alert rules and commands all make their queries.

A metric is an aggregate over the rows of a source, so it can be asked for any window, filter and grouping without averaging averages.
`value` is NULL where there is nothing to say (no calls, no price); `sample` is what the value rests on.
"""

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["calls", "ratio", "seconds", "usd", "tokens", "tokens/s", "events", "bytes"]
"""Units of values; seconds and dollars are whole units, whatever the tables store."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table, or one per resolution: seconds of a bucket → (table, its time column), finest first."""

    name: str
    resolutions: tuple[tuple[int, str, str], ...]
    dimensions: tuple[str, ...]
    """Columns to filter and group by; `project`, `app` and `environment` where the rows have them."""


CALLS = Source(
    "calls",
    ((60, "rollup_1m", "minute"), (3_600, "rollup_1h", "hour")),
    ("project", "app", "environment", "provider", "request_model", "operation", "error_class", "prompt_name", "prompt_version"),
)
USERS = Source("users", ((3_600, "rollup_user_1h", "hour"),), ("project", "app", "environment", "user_id", "request_model"))
DEAD_LETTERS = Source("dead_letters", ((1, "dead_letters", "at"),), ("project", "app", "processor", "reason"))
FEEDBACK = Source("feedback", ((1, "feedback_current", "at"),), ("project", "app", "environment", "name", "label"))
SCORES = Source(
    "scores",
    ((60, "rollup_scores_1m", "minute"), (3_600, "rollup_scores_1h", "hour")),
    ("project", "app", "environment", "name", "scorer", "request_model", "prompt_name", "prompt_version"),
)

SOURCES = {source.name: source for source in (CALLS, USERS, DEAD_LETTERS, FEEDBACK, SCORES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that can be asked of a source."""

    name: str
    title: str
    question: str
    unit: Unit
    value: str
    """SQL aggregate over the source's rows."""
    sample: str = "sum(calls)"
    """SQL aggregate: how many calls (or events) the value rests on."""
    source: Source = field(default=CALLS)
    worse: Literal["up", "down", ""] = ""
    """The direction in which a change is bad news."""
    unpriced: bool = False
    """True for sums of money: `sum(unpriced_calls)` is to be shown beside them."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score by which an answer is good or bad: the metric of its rate, the score's name, and on which side of 0.5 a value is bad."""

    metric: str
    title: str
    question: str
    score: str
    side: Literal["high", "low"]

    @property
    def bad(self) -> str:
        """The condition on a single score's `value`."""
        return "value >= 0.5" if self.side == "high" else "value < 0.5"


SCORED = (
    Scored("toxicity_rate", "Toxic answers", "Which share of the answers is toxic (a score of 0.5 or more)?", "toxicity", "high"),
    Scored("pii_rate", "Answers with personal data", "Which share of the answers holds personal data?", "pii", "high"),
    Scored("injection_rate", "Attempted injections", "Which share of the inputs tries to take the model over?", "injection", "high"),
    Scored("refusal_rate", "Refusals", "Which share of the answers refuses?", "refusal", "high"),
    Scored(
        "ungrounded_rate",
        "Ungrounded answers",
        "Which share of the answers is not supported by what was retrieved (a score below 0.5)?",
        "groundedness",
        "low",
    ),
    Scored(
        "irrelevant_rate", "Irrelevant answers", "Which share of the answers misses the question (a score below 0.5)?", "relevance", "low"
    ),
)
"""Every score that is judged, most urgent first."""

COUNTED = ("length", "retrieval_score", "document_age")
"""Scores in units of their own (characters, the retriever's, days); all others of ours lie between 0 and 1."""


def _percentile(column: str, position: int, sample: str) -> str:
    return f"if({sample} = 0, NULL, quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)({column})[{position}] / 1e6)"


def _weighted(one: Scored) -> str:
    """The share of scored answers that is bad, each counted as often as it stands for others (its weight)."""
    return f"sumIf(w_{one.side}, name = '{one.score}') / nullIf(sumIf(w_low + w_high, name = '{one.score}'), 0)"


_DURATION = "seconds from the start of a call to its end"
_INPUT = "sum(input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens)"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="calls", title="Calls", question="How much is used?", unit="calls", value="sum(calls)"),
        Metric(name="errors", title="Errors", question="How many calls fail?", unit="calls", value="sum(errors)", worse="up"),
        Metric(
            name="error_rate",
            title="Error rate",
            question="Which share of calls fails?",
            unit="ratio",
            value="sum(errors) / nullIf(sum(calls), 0)",
            worse="up",
        ),
        *(
            Metric(
                name=f"{error_class}_share",
                title=title,
                question=question,
                unit="ratio",
                value=f"sumIf(errors, error_class = '{error_class}') / nullIf(sum(calls), 0)",
                worse="up",
            )
            for error_class, title, question in (
                ("rate_limit", "Rate limited share", "Which share of calls does the provider turn away for their rate?"),
                ("timeout", "Timeout share", "Which share of calls takes too long?"),
                ("auth", "Refused credentials share", "Which share of calls has credentials that the provider refuses?"),
                ("invalid_request", "Invalid request share", "Which share of calls does the provider not understand?"),
                ("content_filter", "Filtered share", "Which share of calls does the provider's filter block?"),
                ("server", "Provider error share", "Which share of calls fails on the provider's side?"),
                ("network", "Network error share", "Which share of calls is lost on the way?"),
            )
        ),
        Metric(
            name="retries", title="Retries", question="How often does a client try again?", unit="calls", value="sum(retries)", worse="up"
        ),
        Metric(
            name="cost",
            title="Cost",
            question="What does it cost?",
            unit="usd",
            value="sum(cost_nano_usd) / 1e9",
            worse="up",
            unpriced=True,
        ),
        Metric(
            name="cost_per_call",
            title="Cost per priced call",
            question="What does one call cost?",
            unit="usd",
            value="sum(cost_nano_usd) / 1e9 / nullIf(sum(priced_calls), 0)",
            sample="sum(priced_calls)",
            worse="up",
        ),
        Metric(
            name="cost_per_success",
            title="Cost per successful answer",
            question="What does one good answer cost, failures included?",
            unit="usd",
            value="sum(cost_nano_usd) / 1e9 / nullIf(sum(calls) - sum(errors), 0)",
            worse="up",
            unpriced=True,
        ),
        Metric(
            name="unpriced_calls",
            title="Unpriced calls",
            question="How many calls are missing from the sums of money?",
            unit="calls",
            value="sum(unpriced_calls)",
            worse="up",
        ),
        Metric(
            name="unpriced_share",
            title="Unpriced share",
            question="Which share of calls has no known price?",
            unit="ratio",
            value="sum(unpriced_calls) / nullIf(sum(calls), 0)",
            worse="up",
        ),
        *(
            Metric(
                name=f"{name}_{label}",
                title=f"{title} {label}",
                question=question,
                unit="seconds",
                value=_percentile(f"{column}_digest", position, sample),
                sample=sample,
                worse="up",
            )
            for name, title, question, column, sample in (
                ("duration", "Duration", f"How slow are calls: {_DURATION}?", "duration", "sum(calls)"),
                ("ttft", "Time to first token", "How long does a reader wait for the first token?", "ttft", "sum(ttft_calls)"),
                ("token_time", "Time per output token", "How fast does text flow after the first token?", "token_time", "sum(streamed)"),
            )
            for position, label in enumerate(("p50", "p90", "p95", "p99"), 1)
        ),
        Metric(name="input_tokens", title="Input tokens", question="How much is read, caches included?", unit="tokens", value=_INPUT),
        Metric(
            name="output_tokens",
            title="Output tokens",
            question="How much is written, reasoning included?",
            unit="tokens",
            value="sum(output_tokens + reasoning_tokens)",
        ),
        Metric(
            name="cache_hit_ratio",
            title="Cached share of input",
            question="Which share of the input came from the provider's cache?",
            unit="ratio",
            value=f"sum(cache_read_tokens) / nullIf({_INPUT}, 0)",
            worse="down",
        ),
        Metric(
            name="user_cost",
            title="Cost by user",
            question="Who spends?",
            unit="usd",
            value="sum(cost_nano_usd) / 1e9",
            source=USERS,
            unpriced=True,
        ),
        Metric(
            name="dead_letters",
            title="Dead letters",
            question="How many events could not be stored?",
            unit="events",
            value="count()",
            sample="count()",
            source=DEAD_LETTERS,
            worse="up",
        ),
        Metric(
            name="negative_feedback",
            title="Negative feedback",
            question="Which share of the feedback is bad (a score below 0, or a label that says so)?",
            unit="ratio",
            value="countIf(score < 0 OR label IN ('bad', 'negative', 'thumbs_down', 'down')) / nullIf(count(), 0)",
            sample="count()",
            source=FEEDBACK,
            worse="up",
        ),
        *(
            Metric(
                name=one.metric,
                title=one.title,
                question=one.question,
                unit="ratio",
                value=_weighted(one),
                sample=f"sumIf(scored, name = '{one.score}')",
                source=SCORES,
                worse="up",
            )
            for one in SCORED
        ),
    )
}
"""Every metric by its name."""
