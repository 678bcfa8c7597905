"""Every ClickHouse table, as one literal table; the columns themselves are in `migrations/*.sql`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table holds, who may read it and how long it is kept."""

    name: str
    purpose: str
    restricted: bool = False
    """True: holds text of people or models; the dashboards' reader cannot read it."""
    retention: str | None = None
    """Name of the setting (days) in `Settings.retention`, with `time_column` as its clock."""
    time_column: str = "started_at"
    view_of: tuple[str, ...] = ()
    """The tables whose inserts feed this one, each through a materialized view."""

    @property
    def views(self) -> dict[str, str]:
        """Those views, each with the table it reads: `<name>_view`, and `<name>_<table>_view` for any further one."""
        return {f"{self.name}_{f'{source}_' if number else ''}view": source for number, source in enumerate(self.view_of)}


TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec("calls", "one immutable row per ended call", retention="calls_days"),
        TableSpec("contents", "prompts, outputs, retrieved documents", restricted=True, retention="contents_days"),
        TableSpec("requests", "one row per started call", retention="requests_days"),
        TableSpec("steps", "retrieval, tool, agent, workflow and guardrail steps", retention="calls_days"),
        TableSpec("scores", "scores of calls that were sent: evaluations, judges", retention="calls_days"),
        TableSpec("call_scores", "scores of calls by the scoring processors, one row per call and processor", retention="calls_days"),
        TableSpec("feedback", "what people said of answers, without their words", retention="calls_days", time_column="at"),
        TableSpec("heartbeats", "the books of every producer run", retention="heartbeats_days", time_column="at"),
        TableSpec(
            "late_contents", "texts that travelled apart from their call", restricted=True, retention="contents_days", time_column="at"
        ),
        TableSpec("deploys", "versions that went live", retention="calls_days", time_column="at"),
        TableSpec("ledger", "one row per Kafka record and processor: what was stored", retention="calls_days", time_column="minute"),
        TableSpec("dead_letters", "events that could not be stored, with the reason", retention="calls_days", time_column="at"),
        TableSpec("dead_letter_bytes", "their raw bytes", restricted=True, retention="dead_letter_bytes_days", time_column="at"),
        TableSpec("dead_letter_replays", "which dead letters were sent again", time_column="replayed_at"),
        TableSpec("watermarks", "how far each project is complete", retention="heartbeats_days", time_column="at"),
        TableSpec("own_cost", "processor time and memory of Llmtower itself", retention="heartbeats_days", time_column="at"),
        TableSpec("repairs", "who mends what `llmtower audit --repair` found, one at a time", time_column="at"),
        TableSpec("audits", "results of `llmtower audit`", retention="calls_days", time_column="at"),
        TableSpec("alert_events", "what alerts went through", retention="calls_days", time_column="at"),
        TableSpec("alert_sends", "who was told of it", retention="calls_days", time_column="at"),
        TableSpec("silence_events", "every version of every silence", time_column="recorded_at"),
        TableSpec("registry_events", "who changed what in the registry: prompts, labels, models, datasets", time_column="at"),
        TableSpec("rollup_1m", "calls per minute and dimension", retention="rollup_1m_days", time_column="minute", view_of=("calls",)),
        TableSpec("rollup_1h", "the same per hour", time_column="hour", view_of=("rollup_1m",)),
        TableSpec("rollup_models_1h", "which model answered for which, per hour", time_column="hour", view_of=("calls",)),
        TableSpec("rollup_user_1h", "calls, tokens and cost per user and hour", time_column="hour", view_of=("calls",)),
        TableSpec(
            "rollup_scores_1m",
            "scores of both homes per minute and dimension, with the sums of weighted estimates",
            retention="rollup_1m_days",
            time_column="minute",
            view_of=("call_scores", "scores"),
        ),
        TableSpec("rollup_scores_1h", "the same per hour", time_column="hour", view_of=("rollup_scores_1m",)),
        TableSpec("drift_ranges", "what each range of events adds to the sketches", retention="requests_days", time_column="minute"),
        TableSpec(
            "drift_sketches",
            "texts as mergeable sums per minute and segment",
            retention="requests_days",
            time_column="minute",
            view_of=("drift_ranges",),
        ),
        TableSpec("drift_hours", "the same per hour", retention="rollup_1m_days", time_column="hour", view_of=("drift_sketches",)),
        TableSpec("drift", "how far each segment is from its reference, every minute", retention="calls_days", time_column="at"),
        TableSpec("drift_explanations", "why segments drift: ids and shares", retention="calls_days", time_column="at"),
        TableSpec("drift_thresholds", "where each segment's alarms begin", retention="calls_days", time_column="at"),
        TableSpec("drift_baselines", "spans of traffic that people named as right", time_column="set_at"),
        TableSpec("dataset_items", "rows of datasets: redacted texts of calls, kept as long as the dataset", restricted=True),
        TableSpec("judge_rounds", "what the LLM judge did and spent, every round", retention="calls_days", time_column="at"),
        TableSpec("migrations", "which migrations were applied", time_column="applied_at"),
    )
}
"""Every table by its name."""

VIEWS: dict[str, str] = {
    "alert_states": "the present of every alert",
    "feedback_current": "the last word of each user on each target; `feedback` has what was said before",
    "judged_feedback": "calls that a judge has scored and a person has spoken of",
    "scores_of_calls": "every score of every call, sent or computed here",
    "silences": "silences and acknowledgements that were not deleted, past ones included",
}
"""Plain views over those tables, with what they show; every reader may read them."""

POSITION = ("incarnation", "kafka_topic", "kafka_partition", "kafka_offset", "event_index")
"""The columns by which a row of any table that a processor writes is found again in Kafka."""
