import socket
from collections.abc import Iterator

import pytest

from llmtower_processors.local.errors import PortTakenError
from llmtower_processors.local.ports import PortReservation, accepts


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_port_in_use_is_one_sentence(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(PortTakenError) as caught:
        PortReservation(port, purpose="Kafka", option="--kafka-port")
    assert str(caught.value) == (
        f"port {port} for Kafka is in use by another program: stop that program or choose another one with --kafka-port (0 = any free port)"
    )


def test_a_number_that_is_no_port_is_one_sentence() -> None:
    with pytest.raises(PortTakenError, match=r"port 65536 for Kafka is not a port number \(0-65535\)"):
        PortReservation(65536, purpose="Kafka", option="--kafka-port")


def test_a_reserved_port_is_ours_to_listen_on_again_and_again() -> None:
    reserved = PortReservation(0, purpose="Kafka", option="--kafka-port")
    for _ in range(3):
        with socket.create_server(("127.0.0.1", reserved.port)):
            assert accepts(reserved.port)
        assert not accepts(reserved.port)
    reserved.release()


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    reserved = PortReservation(0, purpose="Kafka", option="--kafka-port")
    others = [PortReservation(0, purpose="other", option="--other") for _ in range(200)]
    assert reserved.port not in {other.port for other in others}
    with pytest.raises(OSError, match="in use"), socket.socket() as plain:
        plain.bind(("127.0.0.1", reserved.port))
    for port in (reserved, *others):
        port.release()
