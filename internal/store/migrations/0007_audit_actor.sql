-- Who acted: actor_kind is user, service_token, client, system, or empty for a
-- request that was not authenticated. on_behalf_of is for whom, where an actor
-- acts for another. The defaults let processes of the release before go on
-- inserting during a rolling upgrade; what they insert is read by these rules.

ALTER TABLE audit_events ADD COLUMN actor_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';

UPDATE audit_events SET actor_kind = 'user' WHERE actor_id <> '' AND actor_id <> 'system';
UPDATE audit_events SET actor_kind = 'system', actor_id = '' WHERE actor_id = 'system';
