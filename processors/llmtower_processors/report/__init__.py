"""The report of a span: what changed, what it cost, what got worse, what to do next. Names and figures, never a text of a call."""
