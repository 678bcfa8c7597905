"""The LLM judge: an edge service beside the processors. It pays money, so nothing of it is replayed; what it finds are score events."""
