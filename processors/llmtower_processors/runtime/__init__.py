"""The exactly-once runtime between Kafka and ClickHouse (DESIGN, section 4).

A processor is a value: `Processor(name, topics, tables, function)`, the function pure and deterministic, from a `Batch` of records to
`Block`s of columns, at most one per table. Each row carries its position (`incarnation`, `kafka_topic`, `kafka_partition`,
`kafka_offset`, `event_index`); in one table no two rows of a processor share a position, or they differ in `kind`, `name` or `scorer`.

    loop = connect(processor, kafka={"bootstrap_servers": ...}, store_factory=lambda: ClickHouseStore(options), metrics=Metrics(registry))
    task = asyncio.create_task(loop.run())     # raises StoreUnfitError where ClickHouse cannot give exactly-once
    loop.ready, loop.lag, loop.watermark, loop.halted
    loop.resume()                              # halted partitions go on
    loop.stop(); await task                    # finishes what is under way, acknowledges it, leaves the group

Where to read on: `model` (values) -> `pending` (what a commit says) -> `ranges` with `steps` (the state machine, pure) -> `work` (records
to blocks, pure) -> `loop`, `life`, `cycle`, `labour`, `share`, `buffer` (the loop) -> `edges` (protocols) with `kafka`, `fencing`,
`clickhouse`, `fitness`, `refusals` (the real ones) and `memory`, `memory_store` (the same in memory, with every fault on demand).

What it rests on, besides DESIGN section 4:
- A range older than 10 minutes is completed by rows. Rows that a table has are not inserted again, so what an engine killed between a
  table and its views left out of a rollup stays out until `llmtower audit --repair` rebuilds that hour.
- An owner starts no insert under a token older than 9 minutes, the server stops an insert after 25 s, and tables are asked for their rows
  30 s after that: clocks of workers may differ by half a minute.
"""
