"""What can go wrong with the local stack; each message names the cause and what to do."""

from llmtower_processors.errors import LlmtowerError


class LocalStackError(LlmtowerError):
    """Base of the local stack's errors: the message is one plain sentence for the user."""


class JarRefusedError(LocalStackError):
    """A jar's SHA-256 differs from the committed lock: it is never put on the class path."""


class JavaMissingError(LocalStackError):
    """No Java 17 or newer was found."""


class KafkaFailedError(LocalStackError):
    """Kafka did not format its storage, did not start or did not become ready."""


class PortTakenError(LocalStackError):
    """Another program listens on a port that the stack was told to use."""


class DataDirBusyError(LocalStackError):
    """Another `llmtower up` holds the data directory."""


class ChildFailedError(LocalStackError):
    """A part of the stack ended, or did not become ready, during the first start."""
