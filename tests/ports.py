"""What makes `llmtower up` and `demo` listen on any free ports, so that tests may run beside each other and beside a running stack."""

ANY_PORTS = ("--kafka-port", "0", "--clickhouse-port", "0", "--web-port", "0", "--gateway-port", "0")
