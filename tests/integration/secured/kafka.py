"""A Kafka that asks who you are: TLS, certificates of clients, SASL with PLAIN and SCRAM, each on a listener of its own."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from llmtower_processors.local.kafka import KafkaProcess
from llmtower_processors.local.ports import LOOPBACK, PortReservation

USER, PASSWORD = "tower", "s3cret-of-the-tower"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"


class Authority:
    """Signs the certificates of one test run; `ca` is the file that clients trust."""

    def __init__(self, folder: Path) -> None:
        self._root = trustme.CA()
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._root.cert_pem.write_to_path(self.ca)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Give the files of a certificate for the loopback address, its chain included, and of its key (PKCS #8: Kafka reads no other)."""
        issued = self._root.issue_cert(LOOPBACK, "localhost", common_name=name)
        chain, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        private = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return chain, key


class SecuredKafka(KafkaProcess):
    """The broker of `up` with three listeners more: `sasl_ssl`, `sasl` (in the clear) and `mutual` (TLS, both sides show a certificate)."""

    LISTENERS = ("SASL_SSL", "SASL", "MUTUAL")

    def __init__(self, data_dir: Path, authority: Authority) -> None:
        users = (f"--add-scram=SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512))
        super().__init__(data_dir, format_options=tuple(users))
        self._authority = authority
        self._secured = {name: PortReservation(0, purpose=name, option="-") for name in self.LISTENERS}

    def address(self, listener: str) -> str:
        """`127.0.0.1:<port>` of one listener."""
        return self._secured[listener].address

    def prepare(self) -> list[str]:
        """Write the settings of the listeners behind those of every node: of two values of a property the later one counts."""
        command = super().prepare()
        path = self.data_dir / "server.properties"
        plain = dict(line.split("=", 1) for line in path.read_text("ascii").splitlines())
        chain, key = self._authority.issue("broker")
        (self.data_dir / "broker.pem").write_bytes(key.read_bytes() + chain.read_bytes())
        own = "".join(f",{name}://{reserved.address}" for name, reserved in self._secured.items())
        added = {
            "listeners": plain["listeners"] + own,
            "advertised.listeners": plain["advertised.listeners"] + own,
            "listener.security.protocol.map": plain["listener.security.protocol.map"] + ",SASL_SSL:SASL_SSL,SASL:SASL_PLAINTEXT,MUTUAL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": "broker.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority.ca),
            "listener.name.mutual.ssl.client.auth": "required",
        }
        for listener in ("sasl_ssl", "sasl"):
            name = f"listener.name.{listener}"
            added[f"{name}.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
            added[f"{name}.plain.sasl.jaas.config"] = f'{_PLAIN} user_{USER}="{PASSWORD}";'
            added |= {f"{name}.scram-sha-{bits}.sasl.jaas.config": f"{_SCRAM};" for bits in (256, 512)}
        with path.open("a", encoding="ascii") as file:
            file.writelines(f"{name}={value}\n" for name, value in added.items())
        return command

    def close(self) -> None:
        """Stop the broker and give all its ports back."""
        super().close()
        for reserved in self._secured.values():
            reserved.release()
