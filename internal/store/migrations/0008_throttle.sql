-- What the limits of package throttle know of accounts. A row is a network that
-- guessed the password of the account, or that signed it in; with an empty network,
-- the guesses over all networks that did not. The account is a user's id; '?' is all
-- addresses that no user has, whose networks are one of a fixed number of digests.
-- account is no foreign key, therefore.
--
-- failures count until a day after failed_at. The row is of no use after expires_at.
--
-- Processes of the previous release do not know the table: what they refuse is not
-- counted. The table is new and empty, so this takes no time and waits for no other
-- lock.
CREATE TABLE throttle (
  account      TEXT NOT NULL,
  network      TEXT NOT NULL,
  failures     BIGINT NOT NULL,
  failed_at    TEXT,
  signed_in_at TEXT,
  expires_at   TEXT NOT NULL,
  PRIMARY KEY (account, network)
);

CREATE INDEX throttle_by_expiry ON throttle (expires_at);
