"""What can go wrong with Grafana. Light: the command line imports it always."""


class GrafanaError(Exception):
    """Grafana cannot be read or written; the message says what failed and what to do, never a secret."""
