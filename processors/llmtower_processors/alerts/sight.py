"""What the evaluator can see and reach, and since when it cannot: judged by a rule like any other, and logged when it changes."""

import logging

from llmtower_processors.runtime.edges import Clock

log = logging.getLogger(__name__)


class Sight:
    """Seconds of blindness by what cannot be seen; by a clock that only grows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float | None] = {}

    def saw(self, what: str) -> None:
        """It answered."""
        if self._since.get(what) is not None:
            log.info("alerts: %s can be seen again", what)
            self._since[what] = None

    def failed(self, what: str, sentence: str) -> None:
        """It did not answer; said once."""
        if self._since.get(what) is None:
            self._since[what] = self._clock.monotonic()
            log.error("alerts: %s fails: %s", what, sentence)

    def blind(self) -> dict[str, float]:
        """Give the seconds by what was ever not seen; 0 where it is seen again. While ClickHouse is away, rules are not counted."""
        now = self._clock.monotonic()
        found = {what: 0.0 if since is None else now - since for what, since in self._since.items()}
        return {"ClickHouse": found["ClickHouse"]} if found.get("ClickHouse") else found
