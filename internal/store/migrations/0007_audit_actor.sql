-- actor_kind is user, service_token, client, system, or empty for an
-- unauthenticated request. on_behalf_of is the actor for which another one acts.
-- The defaults let processes of the previous release insert rows during a rolling
-- upgrade; those rows are read by the same rules.

ALTER TABLE audit_events ADD COLUMN actor_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';

UPDATE audit_events SET actor_kind = 'user' WHERE actor_id <> '' AND actor_id <> 'system';
UPDATE audit_events SET actor_kind = 'system', actor_id = '' WHERE actor_id = 'system';
