-- The first schema, one text for SQLite and PostgreSQL. Times are fixed-width
-- UTC text (2006-01-02T15:04:05.000000Z), so that they sort as text; ids are
-- opaque text. Statements end with a semicolon at the end of a line.

CREATE TABLE organizations (
  id         TEXT NOT NULL PRIMARY KEY,
  status     TEXT NOT NULL DEFAULT 'active',
  created_at TEXT NOT NULL
);

CREATE TABLE users (
  id               TEXT NOT NULL PRIMARY KEY,
  email            TEXT NOT NULL,
  email_key        TEXT NOT NULL UNIQUE,
  display_name     TEXT NOT NULL DEFAULT '',
  password_hash    TEXT NOT NULL,
  role             TEXT NOT NULL,
  org_id           TEXT NOT NULL REFERENCES organizations (id),
  status           TEXT NOT NULL,
  default_password INTEGER NOT NULL DEFAULT 0,
  created_at       TEXT NOT NULL,
  last_login_at    TEXT
);

CREATE INDEX users_by_org ON users (org_id, created_at, id);

CREATE INDEX users_by_time ON users (created_at, id);

-- Superadmins are few and queried at every start.
CREATE INDEX users_superadmin ON users (status) WHERE role = 'superadmin';

CREATE TABLE groups (
  id          TEXT NOT NULL PRIMARY KEY,
  name        TEXT NOT NULL,
  name_key    TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  org_id      TEXT NOT NULL REFERENCES organizations (id),
  created_at  TEXT NOT NULL,
  updated_at  TEXT NOT NULL,
  UNIQUE (org_id, name_key)
);

CREATE INDEX groups_by_org ON groups (org_id, created_at, id);

CREATE INDEX groups_by_time ON groups (created_at, id);

CREATE TABLE group_members (
  group_id  TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  joined_at TEXT NOT NULL,
  PRIMARY KEY (group_id, user_id)
);

CREATE INDEX group_members_by_user ON group_members (user_id, group_id);

-- user_id is no foreign key: a deleted user's families stay until they are
-- purged, so that their access tokens can still be listed as revoked.
CREATE TABLE refresh_families (
  id         TEXT NOT NULL PRIMARY KEY,
  user_id    TEXT NOT NULL,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  ended_at   TEXT,
  end_reason TEXT
);

CREATE INDEX refresh_families_by_user ON refresh_families (user_id);

CREATE INDEX refresh_families_ended ON refresh_families (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE refresh_tokens (
  id                TEXT NOT NULL PRIMARY KEY,
  user_id           TEXT NOT NULL,
  family_id         TEXT NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
  token_hash        TEXT NOT NULL UNIQUE,
  expires_at        TEXT NOT NULL,
  created_at        TEXT NOT NULL,
  used_at           TEXT,
  access_jti        TEXT,
  access_expires_at TEXT
);

CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id, access_expires_at);

CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE service_tokens (
  id          TEXT NOT NULL PRIMARY KEY,
  name        TEXT NOT NULL,
  token_hash  TEXT NOT NULL UNIQUE,
  role        TEXT NOT NULL,
  org_id      TEXT NOT NULL REFERENCES organizations (id),
  description TEXT NOT NULL DEFAULT '',
  created_at  TEXT NOT NULL,
  revoked_at  TEXT
);

CREATE UNIQUE INDEX service_tokens_active_name ON service_tokens (name) WHERE revoked_at IS NULL;

CREATE TABLE settings (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);

-- The row that every change to the set of superadmins updates first.
INSERT INTO settings (key, value) VALUES ('superadmin_guard', '0');

-- Append-only; no foreign keys, since rows outlive what they refer to.
CREATE TABLE audit_events (
  id         TEXT NOT NULL PRIMARY KEY,
  at         TEXT NOT NULL,
  action     TEXT NOT NULL,
  outcome    TEXT NOT NULL,
  actor_id   TEXT NOT NULL DEFAULT '',
  target_id  TEXT NOT NULL DEFAULT '',
  org_id     TEXT NOT NULL DEFAULT '',
  address    TEXT NOT NULL DEFAULT '',
  request_id TEXT NOT NULL DEFAULT '',
  detail     TEXT NOT NULL DEFAULT ''
);

CREATE INDEX audit_events_by_time ON audit_events (at, id);
