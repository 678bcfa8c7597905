"""`llmtower demo`: the whole system on one machine, with history, live traffic, a scripted incident and books that must balance."""
