"""Where an envelope may go before it has a partition; apart from `transport`, because every call imports it and that is heavy."""

ANYWHERE = -1
"""Place of an envelope that any partition may take; its number says which."""
LAST = -2
"""Place of events of long ago: all in the last partition, so that a history that is sent in never stands before what happens now."""
