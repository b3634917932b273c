-- Profiles, the form of password hashes, and searching and sorting users.
--
-- The cost: a few reads of the table of users and three large indexes, 17 to 19
-- seconds for a million users on two busy cores, on either engine. On PostgreSQL
-- logins wait for the first four indexes and all requests for the last three, of
-- which two are empty. No row is rewritten but those whose e-mail key changes, which
-- the program does before these statements; name_key is filled in by the running
-- server, in batches.
--
-- COLLATE bytewise is BINARY in SQLite and "C" in PostgreSQL: ranges of text are
-- prefixes in that order only.

CREATE INDEX users_by_org_email ON users (org_id, email_key COLLATE bytewise, id);

CREATE INDEX users_by_email ON users (email_key COLLATE bytewise, id);

CREATE INDEX users_privileged ON users (role, created_at, id) WHERE role <> 'viewer';

CREATE INDEX users_inactive ON users (status, created_at, id) WHERE status <> 'active';

-- A JSON object of the claims of OpenID Connect's scope profile; empty: none.
ALTER TABLE users ADD COLUMN profile TEXT NOT NULL DEFAULT '';

-- When the profile was last changed; NULL: never.
ALTER TABLE users ADD COLUMN updated_at TEXT;

-- nfc: the hash is of the password in Unicode form NFC; raw: of the password as it
-- was received. Processes of the previous release write the hash without the form,
-- so a row that says nfc may hold a raw hash; passwords are compared in all forms.
ALTER TABLE users ADD COLUMN password_form TEXT NOT NULL DEFAULT 'raw';

-- The folded beginning of the display name. NULL: a release before this migration
-- wrote the row, and the server has not completed it yet.
ALTER TABLE users ADD COLUMN name_key TEXT;

CREATE INDEX users_by_name ON users (name_key COLLATE bytewise, id) WHERE name_key IS NOT NULL;

CREATE INDEX users_by_org_name ON users (org_id, name_key COLLATE bytewise, id) WHERE name_key IS NOT NULL;

CREATE INDEX users_incomplete ON users (id) WHERE name_key IS NULL;
