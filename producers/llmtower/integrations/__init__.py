"""Frameworks: each module needs its framework and is imported by name (`llmtower.integrations.asgi`)."""
