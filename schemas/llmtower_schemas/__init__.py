"""The event contract: events, codec, topics, tables, migrations, settings. Imports nothing else of ours."""
