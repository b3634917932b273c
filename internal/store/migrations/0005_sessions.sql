-- A session is one user signed in on one device. A refresh token family is what
-- one client holds of it. credentials_version counts the changes of a user's
-- credentials.
--
-- Processes of the previous release know none of this: what they insert must be
-- valid without it. A family of theirs has no session until its next use here.

ALTER TABLE users ADD COLUMN credentials_version BIGINT NOT NULL DEFAULT 0;

-- amr is separated by spaces. user_id is no foreign key, as in refresh_families.
-- spared_jti is the access token that made the last change of password: the only
-- earlier one that still reads the profile.
CREATE TABLE sessions (
  id              TEXT NOT NULL PRIMARY KEY,
  user_id         TEXT NOT NULL,
  created_at      TEXT NOT NULL,
  auth_time       TEXT NOT NULL,
  amr             TEXT NOT NULL,
  acr             TEXT NOT NULL,
  last_used_at    TEXT NOT NULL,
  address         TEXT NOT NULL DEFAULT '',
  user_agent      TEXT NOT NULL DEFAULT '',
  idle_expires_at TEXT NOT NULL,
  expires_at      TEXT NOT NULL,
  ended_at        TEXT,
  end_reason      TEXT,
  spared_jti      TEXT
);

CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

ALTER TABLE refresh_families ADD COLUMN session_id TEXT REFERENCES sessions (id);

-- The default is identity.FirstPartyClient.
ALTER TABLE refresh_families ADD COLUMN client_id TEXT NOT NULL DEFAULT 'urn:pico-auth:client:first-party';

ALTER TABLE refresh_families ADD COLUMN scope TEXT NOT NULL DEFAULT '';

CREATE INDEX refresh_families_by_session ON refresh_families (session_id, ended_at);

-- Before, a family was a session, and access tokens name it: the session gets its
-- id.
INSERT INTO sessions (id, user_id, created_at, auth_time, amr, acr, last_used_at, idle_expires_at, expires_at, ended_at, end_reason)
  SELECT f.id, f.user_id, f.created_at, f.created_at, 'pwd', 'urn:pico-auth:acr:1',
    COALESCE(t.last_created, f.created_at), COALESCE(t.last_expires, f.expires_at), f.expires_at, f.ended_at, f.end_reason
  FROM refresh_families f LEFT JOIN (
    SELECT family_id, MAX(created_at) AS last_created, MAX(expires_at) AS last_expires FROM refresh_tokens GROUP BY family_id
  ) t ON t.family_id = f.id;

UPDATE refresh_families SET session_id = id;
