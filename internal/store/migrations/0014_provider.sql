-- The OpenID provider: clients, authorization requests with their codes, consents,
-- device codes, and what a logout tells clients.
--
-- Processes of the previous release know none of it: the new columns are nullable or
-- have constant defaults, so no table is rewritten. The indexes on sessions and refresh
-- families are empty; PostgreSQL reads the tables once for each, about a second for a
-- million rows, and requests wait.

-- metadata is oauth.Client as JSON, without the logo, which is large and shown on pages
-- only. org_id empty: users of all organizations may sign in. declared is 1 for a client
-- of the configuration. Tokens issued before not_before are refused.
CREATE TABLE clients (
  id         TEXT NOT NULL PRIMARY KEY,
  org_id     TEXT NOT NULL DEFAULT '',
  status     TEXT NOT NULL DEFAULT 'active',
  metadata   TEXT NOT NULL,
  logo       TEXT NOT NULL DEFAULT '',
  declared   INTEGER NOT NULL DEFAULT 0,
  created_by TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  not_before TEXT
);

CREATE INDEX clients_by_org ON clients (org_id, created_at, id);

CREATE INDEX clients_by_age ON clients (created_at, id);

-- At most two of a client are valid at a time. secret_hash is SHA-256.
CREATE TABLE client_secrets (
  id          TEXT NOT NULL PRIMARY KEY,
  client_id   TEXT NOT NULL REFERENCES clients (id),
  secret_hash TEXT NOT NULL,
  created_at  TEXT NOT NULL
);

CREATE INDEX client_secrets_by_client ON client_secrets (client_id);

-- The jti of client assertions that were used, until they expire (RFC 7523 section 3).
CREATE TABLE client_assertions (
  client_id  TEXT NOT NULL,
  jti_hash   TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  PRIMARY KEY (client_id, jti_hash)
);

CREATE INDEX client_assertions_by_expiry ON client_assertions (expires_at);

-- One sign-in at a client in progress, and its code. request is the JSON of
-- oauth.AuthorizationRequest, decided that of what was decided so far. browser_hash is
-- SHA-256 of the cookie of the browser that it belongs to; NULL: of the first one that
-- asks for it. family_id is what was issued for the code. Without code_hash it is open.
-- When its code is issued, request keeps what the exchange needs, and after that what
-- tells a second use. The row stays until purge_at.
CREATE TABLE authorization_requests (
  id              TEXT NOT NULL PRIMARY KEY,
  client_id       TEXT NOT NULL,
  request         TEXT NOT NULL,
  decided         TEXT NOT NULL DEFAULT '',
  browser_hash    TEXT,
  network         TEXT NOT NULL DEFAULT '',
  session_id      TEXT,
  created_at      TEXT NOT NULL,
  expires_at      TEXT NOT NULL,
  purge_at        TEXT NOT NULL,
  code_hash       TEXT,
  code_expires_at TEXT,
  code_used_at    TEXT,
  family_id       TEXT
);

CREATE UNIQUE INDEX authorization_requests_by_code ON authorization_requests (code_hash) WHERE code_hash IS NOT NULL;

CREATE INDEX authorization_requests_by_browser ON authorization_requests (browser_hash) WHERE browser_hash IS NOT NULL;

CREATE INDEX authorization_requests_by_network ON authorization_requests (network, created_at) WHERE code_hash IS NULL;

CREATE INDEX authorization_requests_open ON authorization_requests (expires_at) WHERE code_hash IS NULL;

CREATE INDEX authorization_requests_by_purge ON authorization_requests (purge_at);

-- What a user allowed a client; it outlives sessions.
CREATE TABLE consents (
  user_id    TEXT NOT NULL,
  client_id  TEXT NOT NULL,
  scope      TEXT NOT NULL,
  granted_at TEXT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);

CREATE INDEX consents_by_client ON consents (client_id);

-- RFC 8628. session_id and user_id are of the user who decided.
CREATE TABLE device_codes (
  device_hash TEXT NOT NULL PRIMARY KEY,
  user_code   TEXT NOT NULL,
  client_id   TEXT NOT NULL,
  scope       TEXT NOT NULL DEFAULT '',
  resource    TEXT NOT NULL DEFAULT '',
  address     TEXT NOT NULL DEFAULT '',
  network     TEXT NOT NULL DEFAULT '',
  status      TEXT NOT NULL DEFAULT 'pending',
  user_id     TEXT,
  session_id  TEXT,
  created_at  TEXT NOT NULL,
  expires_at  TEXT NOT NULL,
  polled_at   TEXT
);

CREATE UNIQUE INDEX device_codes_by_user_code ON device_codes (user_code);

CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);

CREATE INDEX device_codes_by_network ON device_codes (network, expires_at);

-- How many wrong user codes the session has entered.
ALTER TABLE sessions ADD COLUMN wrong_device_codes INTEGER NOT NULL DEFAULT 0;

-- SHA-256 of the cookie; NULL: not of a browser. stay is 1 for "stay signed in".
ALTER TABLE sessions ADD COLUMN cookie_hash TEXT;
ALTER TABLE sessions ADD COLUMN stay INTEGER NOT NULL DEFAULT 0;

CREATE UNIQUE INDEX sessions_by_cookie ON sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;

-- A job ends the sessions of browsers that expired, since their clients must be told.
CREATE INDEX sessions_expiring ON sessions (idle_expires_at) WHERE cookie_hash IS NOT NULL AND ended_at IS NULL;

CREATE INDEX sessions_ended ON sessions (ended_at) WHERE cookie_hash IS NOT NULL AND ended_at IS NOT NULL;

-- How the user was authenticated at the moment of the code; empty: as the session says.
-- audience empty: that of the issuer.
ALTER TABLE refresh_families ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN auth_time TEXT;
ALTER TABLE refresh_families ADD COLUMN amr TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN acr TEXT NOT NULL DEFAULT '';

-- The claims parameter of the authorization request (OpenID Connect Core 5.5), JSON.
ALTER TABLE refresh_families ADD COLUMN claims TEXT NOT NULL DEFAULT '';

-- What clients hold, without the many families of the JSON login.
CREATE INDEX refresh_families_by_client ON refresh_families (client_id) WHERE client_id <> 'urn:pico-auth:client:first-party';

-- A purge removes families that the limit ended.
CREATE INDEX refresh_families_beyond ON refresh_families (ended_at) WHERE end_reason = 'family_limit';

-- 1: an administrator says that the user receives mail at the address.
ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0;

-- A JSON object with the fields admin and user, of which custom claims are made.
ALTER TABLE users ADD COLUMN metadata TEXT NOT NULL DEFAULT '';

-- That the service token may be exchanged for, a JSON array; empty: that of the server.
ALTER TABLE service_tokens ADD COLUMN audiences TEXT NOT NULL DEFAULT '';

-- Back-channel logout: which clients are still to be told that a session ended, and
-- those that could not be told. next_at NULL: abandoned.
CREATE TABLE logout_deliveries (
  session_id TEXT NOT NULL,
  client_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  created_at TEXT NOT NULL,
  attempts   INTEGER NOT NULL DEFAULT 0,
  next_at    TEXT,
  problem    TEXT NOT NULL DEFAULT '',
  traceparent TEXT NOT NULL DEFAULT '',
  tracestate  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (session_id, client_id)
);

CREATE INDEX logout_deliveries_due ON logout_deliveries (next_at) WHERE next_at IS NOT NULL;

CREATE INDEX logout_deliveries_by_client ON logout_deliveries (client_id, next_at);

CREATE INDEX logout_deliveries_given_up ON logout_deliveries (created_at) WHERE next_at IS NULL;
