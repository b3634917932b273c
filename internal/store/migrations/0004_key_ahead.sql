-- How long a key has to be published before another may take over is what the
-- servers that published it promised to those who keep the key set, and not what
-- the one that counts is configured with. publish_ahead_ms is the longest of
-- them; 0: not known.

ALTER TABLE signing_keys ADD COLUMN publish_ahead_ms BIGINT NOT NULL DEFAULT 0;
