"""Record LLM calls from an application: nothing lost, nothing slowed, nothing raised."""
