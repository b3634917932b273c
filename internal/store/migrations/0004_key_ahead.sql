-- How long a key must be published before it signs follows from the longest
-- publish_ahead of the servers that published it, since clients cache the key set
-- for that long, and not from that of the server that counts. publish_ahead_ms is
-- that longest time; 0: not known.

ALTER TABLE signing_keys ADD COLUMN publish_ahead_ms BIGINT NOT NULL DEFAULT 0;
