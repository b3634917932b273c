-- Organizations have a name; empty: the id, as for those that a process of the
-- previous release makes. Service tokens have an expiry, an owner and a last use.
--
-- The name of an active service token is unique within its organization. The
-- previous release inserts with ON CONFLICT (name) and would fail without the unique
-- index on name, so that index stays: own_name is the name, and name a key that is
-- unique everywhere, which is the same text unless another organization has it, and
-- otherwise the id. own_name is null where the previous release inserted the row.
--
-- The cost: service tokens are few, and the new columns have constant defaults, so no
-- table is rewritten.

ALTER TABLE organizations ADD COLUMN name TEXT NOT NULL DEFAULT '';

ALTER TABLE service_tokens ADD COLUMN own_name TEXT;
ALTER TABLE service_tokens ADD COLUMN expires_at TEXT;
ALTER TABLE service_tokens ADD COLUMN last_used_at TEXT;

-- Empty: none. No foreign key: users are deleted, and rows of revoked tokens stay.
ALTER TABLE service_tokens ADD COLUMN owner_id TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX service_tokens_own_name ON service_tokens (org_id, (COALESCE(own_name, name))) WHERE revoked_at IS NULL;

CREATE INDEX service_tokens_by_owner ON service_tokens (owner_id) WHERE revoked_at IS NULL;

CREATE INDEX service_tokens_by_org ON service_tokens (org_id, created_at, id);
