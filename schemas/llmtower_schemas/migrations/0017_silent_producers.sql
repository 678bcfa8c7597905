-- Whose the silent producers are, one entry each: so that a run of `llmtower prompts test` that was killed pages nobody. Rows of before do
-- not say.
ALTER TABLE watermarks ADD COLUMN IF NOT EXISTS silent_of Array(Tuple(app String, environment String)) CODEC(ZSTD) AFTER silent_producers;
