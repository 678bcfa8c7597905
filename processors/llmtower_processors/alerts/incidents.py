"""All alerts at once: what is known of each, what a round of readings changes, and what has still to be told. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.measure import Measured
from llmtower_processors.alerts.memory import Memory, recall
from llmtower_processors.alerts.questions import Group, Moment, spans
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.silences import Silences
from llmtower_processors.alerts.state import Look, retire, step
from llmtower_schemas.alerts import Sent, Transition

_NEW = Memory()


@dataclass
class Incidents:
    """What is known, a fold over the journal; and what was watched since."""

    rules: Mapping[str, Rule]
    routes_of: Callable[[Transition], tuple[str, ...]] = lambda transition: transition.routes
    """By which of its routes a transition is told."""
    known: dict[str, dict[Group, Memory]] = field(default_factory=dict)
    """By rule and group, in the rule's order."""
    last: dict[tuple[str, Group], Transition] = field(default_factory=dict)
    """The last transition of those that are pending or firing."""
    unsent: dict[tuple[str, str], Transition] = field(default_factory=dict)
    """By transition and route."""

    def recall(self, entries: Iterable[Transition | Sent]) -> None:
        """Take in what the journal holds, in its order."""
        for entry in entries:
            if isinstance(entry, Sent):
                self.unsent.pop((entry.transition_id, entry.route), None)
            else:
                self._note(entry)
                self.owe(entry)

    def _note(self, entry: Transition) -> None:
        rule = self.rules.get(entry.rule)
        group = _group(entry, rule)
        memories = self.known.setdefault(entry.rule, {})
        before = memories.get(group, _NEW)
        memories[group] = after = recall(before, entry)
        if after is not before:
            if after.active:
                self.last[entry.rule, group] = entry
            else:
                self.last.pop((entry.rule, group), None)

    def told(self) -> list[tuple[Transition, str]]:
        """Give what fires and was told, with the routes by which it was."""
        found = []
        for (name, group), last in self.last.items():
            memory = self.known[name][group]
            if memory.state == "firing":
                found += [(last, route) for route in memory.told_by if (last.transition_id, route) not in self.unsent]
        return found

    def awake(self) -> frozenset[str]:
        """Give the rules that have an alert pending or firing."""
        return frozenset(name for name, _ in self.last)

    def owe(self, entry: Transition) -> None:
        """Remember that people are to be told."""
        if entry.notify:
            self.unsent |= {(entry.transition_id, route): entry for route in entry.routes}

    def orphans(self, at_us: int) -> list[Transition]:
        """End what no rule asks for any more."""
        found = []
        for (name, group), last in list(self.last.items()):
            rule = self.rules.get(name)
            if rule is None or set(rule.grouping) != set(last.group):
                memory, transition = retire(self.known[name][group], name, last.group, at_us, last)
                self._keep(name, group, memory, transition)
                found += [transition] if transition else []
        return found

    def judge(self, measured: Measured, silences: Silences) -> list[Transition]:
        """Give the transitions that a round of readings makes."""
        found: list[Transition] = []
        for name, readings in measured.readings.items():
            rule = self.rules[name]
            memories = self.known.setdefault(name, {})
            found += self._present(rule, readings, memories, measured, silences)
            if not measured.moment.closed:
                found += self._absent(rule, readings, memories, measured, silences)
        return found

    def _present(
        self, rule: Rule, readings: Mapping[Group, Reading], memories: dict[Group, Memory], measured: Measured, silences: Silences
    ) -> list[Transition]:
        mildest = rule.levels.graded()[-1][1]
        floor, alarming = rule.min_sample, rule.no_data == "alert"
        found = []
        for group, reading in readings.items():
            value = reading.value
            quiet = not alarming if value is None else reading.sample < floor or not mildest.breached(value)
            memory = memories.get(group)
            if quiet and (memory is None or not (memory.active or memory.watched.bad or memory.watched.late_us)):
                continue
            transition = self._look(rule, group, reading, memory or _NEW, measured.moment, silences)
            found += [transition] if transition else []
        return found

    def _absent(
        self, rule: Rule, readings: Mapping[Group, Reading], memories: dict[Group, Memory], measured: Measured, silences: Silences
    ) -> list[Transition]:
        """Groups without a row: those with an alert, and those that should have data. Beyond the allowed groups nobody can tell."""
        if rule.name in measured.cut:
            return []
        gone = [group for group, memory in memories.items() if (memory.active or memory.watched.bad) and group not in readings]
        gone += [group for group in measured.expected.get(rule.name, ()) if group not in readings and group not in gone]
        looks = [self._look(rule, group, None, memories.get(group, _NEW), measured.moment, silences) for group in gone]
        return [transition for transition in looks if transition]

    def _look(
        self, rule: Rule, group: Group, reading: Reading | None, memory: Memory, moment: Moment, silences: Silences
    ) -> Transition | None:
        names = dict(zip(rule.grouping, group, strict=True))
        project = names.get("project")
        start, _ = spans(rule)[-1].bounds(moment)
        look = Look(
            rule=rule,
            group=names,
            reading=reading,
            start_us=start,
            end_us=moment.end_us(project),
            at_us=moment.at_us or moment.now_us,
            completeness=moment.completeness(project, start),
            corrected=moment.closed,
        )
        after, transition = step(memory, look, silences.covering(rule.name, names, look.at_us))
        if transition is not None and transition.notify:
            transition = transition.model_copy(update={"routes": self.routes_of(transition)})
            after = replace(recall(memory, transition), watched=after.watched)
        self._keep(rule.name, group, after, transition)
        return transition

    def _keep(self, name: str, group: Group, memory: Memory, transition: Transition | None) -> None:
        self.known.setdefault(name, {})[group] = memory
        if transition is None:
            return
        if memory.active:
            self.last[name, group] = transition
        else:
            self.last.pop((name, group), None)


def _group(entry: Transition, rule: Rule | None) -> Group:
    """Order the values as the rule does; of a grouping that is no longer, by name, with the names (it cannot be taken for one that is)."""
    if rule is not None and set(rule.grouping) == set(entry.group):
        return tuple(entry.group[name] for name in rule.grouping)
    return tuple(part for name in sorted(entry.group) for part in (f"{name}=", entry.group[name]))
