-- What several replicas share besides accounts: the signing keys, and leases for
-- work that one replica at a time does.

-- status is next, active, retiring or removed. public_key is the JWK as it is
-- published. sealed_key is the private half under auth.master_key; empty: it
-- is in a file of auth.data_dir. The times are those of the last change to
-- that status.
CREATE TABLE signing_keys (
  kid          TEXT NOT NULL PRIMARY KEY,
  algorithm    TEXT NOT NULL,
  status       TEXT NOT NULL,
  public_key   TEXT NOT NULL,
  sealed_key   TEXT NOT NULL DEFAULT '',
  created_at   TEXT NOT NULL,
  activated_at TEXT,
  retired_at   TEXT
);

CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (status) WHERE status = 'active';

-- Incremented with every change of signing_keys, so that a running server detects
-- changes cheaply.
INSERT INTO settings (key, value) VALUES ('key_set_version', '0');

-- expires_at is in milliseconds since 1970 by the clock of the database.
CREATE TABLE leases (
  name       TEXT NOT NULL PRIMARY KEY,
  holder     TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
