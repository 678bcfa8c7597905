"""W3C Trace Context: the `traceparent` header, read and written. Source: W3C Recommendation "Trace Context", section 3.2."""

import re

from llmtower.ids import entropy

_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def read(header: object) -> tuple[str, str]:
    """Give trace id and parent id; what is malformed begins a new trace without a parent, as the recommendation says."""
    text = header.decode("ascii", "replace") if isinstance(header, bytes) else str(header)
    found = _HEADER.fullmatch(text.strip())
    if found is None or (text.strip().startswith("00-") and len(text.strip()) != 55):
        return f"{entropy(128) or 1:032x}", ""
    return found[1], found[2]


def write(trace: str, around: str) -> str:
    """Give the header, sampled; ids of ours are UUIDs: a trace takes one whole, a parent its last 16 digits."""
    trace = trace.replace("-", "").lower()
    if not re.fullmatch(r"(?!0{32})[0-9a-f]{32}", trace):
        trace = f"{entropy(128) or 1:032x}"
    span = around.replace("-", "")[-16:] or f"{entropy(64) or 1:016x}"
    return f"00-{trace}-{span}-01"
