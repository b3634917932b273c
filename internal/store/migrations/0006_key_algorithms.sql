-- One active and at most one pending key of each algorithm. for_api is 1 for keys
-- that sign, signed or will sign the tokens of the API, those of auth.algorithm, and
-- 0 for keys that clients request. row_mac authenticates the row under
-- auth.master_key where keys are sealed; empty: it was not authenticated.
-- publish_ahead_ms is no longer used; processes of the previous release write it.

ALTER TABLE signing_keys ADD COLUMN for_api INTEGER NOT NULL DEFAULT 1;
ALTER TABLE signing_keys ADD COLUMN row_mac TEXT NOT NULL DEFAULT '';

DROP INDEX signing_keys_one_active;
DROP INDEX signing_keys_one_next;
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (algorithm) WHERE status = 'active';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (algorithm) WHERE status = 'next';
