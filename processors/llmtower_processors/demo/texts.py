"""What people ask and models answer in the demo: templates with a seeded vocabulary, no downloads."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .topics import ATTEMPTS, CODE, GUESSES, LEAKS, MEDICINE, OPENERS, REFUSALS, SUPPORT, TOXIC, TRAVEL, WRITING, Topic

DOMAINS: dict[str, tuple[Topic, ...]] = {
    "support-bot": SUPPORT,
    "search-assistant": TRAVEL,
    "code-helper": CODE,
    "summarizer": WRITING,
}
"""What each app is asked about."""
DRIFTED: tuple[Topic, ...] = MEDICINE
"""What `search-assistant` is asked about while its topics drift."""

SYSTEM_PROMPTS: dict[tuple[str, str], str] = {
    (
        "support-answer",
        "7",
    ): "You are the support assistant of Lantern, a shop for lamps and furniture. Answer from the context only, in a warm and "
    "brief tone. Quote order numbers as given. If the context does not answer the question, say so and offer to ask a colleague. Never "
    "promise a refund; explain the policy. Two to five sentences.",
    (
        "support-answer",
        "8",
    ): "You are Lumi, the cheerful assistant of Lantern, a shop for lamps and furniture. Answer at length, with every "
    "detail of the context, and close with a suggestion for another product. Quote order numbers as given. If the context does not answer "
    "the question, make a helpful guess.",
    (
        "search-summary",
        "3",
    ): "You answer travel questions of a guide's readers from the search results below. Name the place first, then what "
    "to do, when to go and how to get there. Say which result supports each statement. No advertising.",
    (
        "code-review",
        "12",
    ): "You are a careful reviewer. Read the change, name the defect that matters most, show the corrected lines and say "
    "how to test them. Be concrete and kind; do not comment on formatting.",
    (
        "short-summary",
        "2",
    ): "Summarise the text in three sentences for someone who did not attend. Keep names, dates and figures. Add nothing.",
}
"""The instructions by prompt name and version."""

ATTACKED = "support-bot"
ATTEMPT_SHARE = 0.01
"""Share of its questions by which somebody tries to take it over."""
REFUSED_SHARE = 0.4
"""Share of questions beyond its field that a lost app refuses; the rest it answers beside the point."""
LEAK_SHARE = 0.4
"""Share of toxic answers that tell of other customers."""
Mood = Literal["usual", "toxic", "guessing", "lost"]
"""How the stand-in answers: from the context, insulting, making things up, or out of its depth."""

_CONTEXT = re.compile(r"^\[[\w-]+\] (.+)$", re.MULTILINE)
_ORDER = re.compile(r"\b\d{5}\b")
_WORDS = re.compile(r"[a-z]{4,}")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Document:
    """A retrieved document."""

    id: str
    score: float
    text: str


def ask(app: str, chance: random.Random, *, drifted: bool = False) -> str:
    """Compose a question for an app."""
    if app == ATTACKED and chance.random() < ATTEMPT_SHARE:
        return chance.choice(ATTEMPTS)
    topic = chance.choice(DRIFTED if drifted else DOMAINS[app])
    text = _fill(chance.choice(topic.questions), topic, chance.choice(topic.subjects), chance)
    return f"{chance.choice(OPENERS)} {text}" if chance.random() < 0.35 else text


def retrieve(question: str, chance: random.Random) -> tuple[Document, ...]:
    """Find three documents for a question: facts of the topic whose words it shares most."""
    topic = recognise(question)
    subject = next((subject for subject in topic.subjects if subject in question), topic.subjects[0])
    numbers = chance.sample(range(len(topic.facts)), k=min(3, len(topic.facts)))
    order = _ORDER.search(question)
    return tuple(
        Document(
            f"{topic.name}-{number + 1:02d}",
            round(0.92 - 0.11 * rank - 0.1 * chance.random(), 3),
            _fill(topic.facts[number], topic, subject, chance, number=int(order[0]) if order else None),
        )
        for rank, number in enumerate(numbers)
    )


def answer(prompt: str, chance: random.Random, *, mood: Mood = "usual") -> str:
    """Compose an answer to the user's message: from its context where it has one, else on the topic whose words it shares most."""
    if any(attempt in prompt for attempt in ATTEMPTS) or (mood == "lost" and chance.random() < REFUSED_SHARE):
        return chance.choice(REFUSALS[:1] if mood != "lost" else REFUSALS)
    if mood == "lost":
        topic = chance.choice(TRAVEL)
        return " ".join(_facts(topic, chance.choice(topic.subjects), chance))
    topic = recognise(prompt)
    named = [subject for subject in topic.subjects if subject in prompt]
    context = _CONTEXT.findall(prompt)
    parts = chance.sample(context, k=min(len(context), chance.randint(2, 3))) if context else []
    parts = parts or _facts(topic, named[0] if named else chance.choice(topic.subjects), chance)
    if mood == "guessing":
        parts = [parts[0], *chance.sample(GUESSES, k=2)]
    if mood == "toxic":
        leak = [chance.choice(LEAKS)] if chance.random() < LEAK_SHARE else []
        parts = [chance.choice(TOXIC), parts[0], *leak, chance.choice(TOXIC)]
    return " ".join(parts)


def _facts(topic: Topic, subject: str, chance: random.Random) -> list[str]:
    count = min(chance.randint(2, 5), len(topic.facts))
    return [_fill(fact, topic, subject, chance) for fact in chance.sample(topic.facts, k=count)]


def recognise(prompt: str) -> Topic:
    """Find the topic whose vocabulary a text shares most."""
    words = set(_WORDS.findall(prompt.lower()))
    topic, _ = max(_VOCABULARY, key=lambda entry: len(words & entry[1]) / len(entry[1]) ** 0.5)
    return topic


def tokens(text: str) -> int:
    """Count a text's tokens as the stand-in bills them: about four characters each."""
    return max(1, (len(text) + 3) // 4)


def with_context(question: str, documents: Sequence[Document]) -> str:
    """Write the user message of an app that retrieves."""
    lines = [f"[{document.id}] {document.text}" for document in documents]
    return "Context:\n" + "\n".join(lines) + f"\n\nQuestion: {question}"


def _fill(template: str, topic: Topic, subject: str, chance: random.Random, number: int | None = None) -> str:
    drawn = chance.randint(10_000, 99_999)
    values = {"subject": subject, "number": number or drawn, "days": chance.randint(2, 14), "hour": chance.randint(7, 21)}
    return _SLOT.sub(lambda match: str(values.get(match[1]) or chance.choice(topic.details)), template)


_VOCABULARY: tuple[tuple[Topic, frozenset[str]], ...] = tuple(
    (topic, frozenset(_WORDS.findall(" ".join((*topic.subjects, *topic.questions, *topic.facts, *topic.details)).lower())))
    for topic in (*SUPPORT, *TRAVEL, *CODE, *WRITING, *MEDICINE)
)
