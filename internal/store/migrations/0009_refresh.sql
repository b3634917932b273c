-- Used refresh tokens are removed once their access token has expired. shared_hash
-- is the hash of the part that all tokens of a family share: a token that has it and
-- is not stored any more was used. shared is 1 for a token that has the part.
--
-- Within the reuse grace a used token yields its successor again: successor_id is
-- its row, and successor the token itself, sealed under a key derived from the used
-- one. Both are NULL without a grace.
--
-- Processes of the previous release issue tokens without the part, and those stay
-- until they expire. Neither the columns nor their defaults rewrite a table. The
-- indexes hold no row, and those of live sessions; PostgreSQL builds them in one pass
-- over families and sessions, about a second for a million, and their writers wait.

ALTER TABLE refresh_families ADD COLUMN shared_hash TEXT;

CREATE UNIQUE INDEX refresh_families_by_shared ON refresh_families (shared_hash) WHERE shared_hash IS NOT NULL;

ALTER TABLE refresh_tokens ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refresh_tokens ADD COLUMN successor_id TEXT;
ALTER TABLE refresh_tokens ADD COLUMN successor TEXT;

-- A login counts the live sessions of its user.
CREATE INDEX sessions_live ON sessions (user_id) WHERE ended_at IS NULL;

-- A purge removes the families of sessions that the limit ended.
CREATE INDEX refresh_families_limited ON refresh_families (ended_at) WHERE end_reason = 'limit';
