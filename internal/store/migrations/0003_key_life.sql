-- The lifecycle of a signing key: next, active, retiring, removed. A key takes the
-- next step when servers have counted enough time in its status, so a clock that
-- jumps has no effect. token_life_ms is the longest lifetime of an access token
-- that it signed; 0: not known. A removed key keeps its row, without a private
-- half.

ALTER TABLE signing_keys ADD COLUMN removed_at TEXT;
ALTER TABLE signing_keys ADD COLUMN counted_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN token_life_ms BIGINT NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (status) WHERE status = 'next';
