-- actor_kind is user, service_token, client, system, or empty for an
-- unauthenticated request. on_behalf_of is the actor for which another one acts.
-- The rows of the previous release keep the defaults, and get their kind when they
-- are read: writing all of them would keep its processes waiting during a rolling
-- upgrade, for half a minute where there are half a million.

ALTER TABLE audit_events ADD COLUMN actor_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_events ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
