"""What may be spent in a day, as the alert rules have it: the figure that the cost of a day is shown beside. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budgets:
    """Dollars a day, of each project and of each application; None = no rule says so."""

    project: float | None = None
    app: float | None = None

    def of(self, chosen: Mapping[str, Sequence[str]], projects: int) -> float | None:
        """The budget of what is looked at: of one application, or of one project; None where neither alone is on the page."""
        narrowed = {name for name, values in chosen.items() if values}
        if narrowed == {"app"} and len(chosen["app"]) == 1 and projects == 1:
            return self.app
        one = len(chosen["project"]) == 1 if "project" in narrowed else projects == 1
        return self.project if one and narrowed <= {"project"} else None
