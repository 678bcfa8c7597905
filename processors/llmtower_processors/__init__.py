"""The worker: processors, the exactly-once runtime, the engine behind HTTP, the local stack and the CLI."""
