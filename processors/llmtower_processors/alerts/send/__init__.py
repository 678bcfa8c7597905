"""Senders: each tells one kind of receiver, bounded in time, and says whether trying again can help."""
