-- How many rows of `contents` a record made: what else would tell that one of them is gone? Rows of before do not say (-1).
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS texts Int32 DEFAULT -1 CODEC(T64, ZSTD) AFTER count;

-- Who repairs, so that two repairs on two machines are kept apart: numbered, each number given to the first who inserts it, as it is the
-- insert token; beats of a repair under way; `ended` when it is over.
CREATE TABLE IF NOT EXISTS repairs
(
    number UInt64,
    owner String,
    at DateTime64(3, 'UTC') DEFAULT now64(3),
    ended Bool
)
ENGINE = MergeTree
ORDER BY (number, at)
SETTINGS non_replicated_deduplication_window = 100000;
