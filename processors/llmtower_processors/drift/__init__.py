"""Embedding drift: from texts to vectors, to sums that merge, to distances between any two slices, to alarms with a stated rate. Pure."""
