"""What the demo says of scores: how far they are behind, and which rates have moved."""

from llmtower_processors.demo.figures import Scored
from llmtower_processors.demo.scored import WATCHED, Moved, Rate, behind_line, moves, scored_lines, scored_summary

ROWS = [
    {"name": "toxicity", "app": "support-bot", "live": 1, "low": 90.0, "high": 10.0},
    {"name": "toxicity", "app": "support-bot", "live": 0, "low": 40_000.0, "high": 0.0},
    {"name": "toxicity", "app": "summarizer", "live": 1, "low": 0.0, "high": 7.0},
    {"name": "groundedness", "app": "support-bot", "live": True, "low": 30.0, "high": 70.0},
    {"name": "feedback", "app": "support-bot", "live": False, "low": 17.0, "high": 83.0},
]


def found() -> dict[str, Moved]:
    return {one.watched.score: one for one in moves(ROWS)}


def test_a_rate_is_of_its_own_app_and_of_its_bad_side() -> None:
    assert found()["toxicity"].live == Rate(10.0, 100.0)
    assert found()["toxicity"].week == Rate(0.0, 40_000.0)
    assert found()["groundedness"].live == Rate(30.0, 100.0)
    assert found()["feedback"].week.share == 0.17
    assert found()["refusal"].live == Rate()
    assert list(found()) == [one.score for one in WATCHED]


def test_a_rate_has_moved_when_it_stands_out_of_its_week() -> None:
    assert found()["toxicity"].moved
    assert not found()["refusal"].moved
    assert not Moved(WATCHED[0], Rate(15, 100), Rate(10, 100)).moved
    assert not Moved(WATCHED[0], Rate(5, 1_000), Rate(1, 1_000)).moved


def test_the_summary_says_what_moved_and_how_far_scoring_is_behind() -> None:
    first, *_, last = (line.plain for line in scored_lines(Scored(1_200, 3.0), moves(ROWS)))
    assert first == "● Scores: toxic answers of support-bot: 10.0 % of 100 live, 0 % in its week before"
    assert last.startswith("! Scoring is 1,200 events behind")
    said = [line.plain for line in scored_lines(Scored(0, 3.0), moves(ROWS))]
    assert len(said) == 2
    assert "no week to compare with" in said[1]
    assert scored_summary(Scored(7, None), moves(ROWS))["behind_events"] == 7
    assert scored_summary(Scored(7, None), moves(ROWS))["rates"][0]["moved"] is True


def test_the_view_says_how_far_scoring_is() -> None:
    assert behind_line(Scored(84_311, 4.2)).plain == "Scores   84,311 events behind, newest scored call began 4.20 s ago"
    assert behind_line(Scored(0, None)).plain == "Scores   nothing waits, no live call yet"
