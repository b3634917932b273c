package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// endedAtOnce limits how many sessions one login ends. A user has more than the limit
// only when the setting was lowered, and later logins end the rest.
const endedAtOnce = 20

// limitSessions ends, before one more session of the user starts, the least
// recently used ones beyond the limit. limit 0 is none.
func (t *tx) limitSessions(by identity.Actor, u identity.User, limit int) error {
	if limit == 0 {
		return nil
	}
	excess, err := collect(t, scanText, `SELECT id FROM sessions
		WHERE user_id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND expires_at > $2
		ORDER BY last_used_at DESC, created_at DESC, id DESC LIMIT $3 OFFSET $4`, u.ID, t.stamp(), endedAtOnce, limit-1)
	if err != nil {
		return err
	}
	for _, id := range excess {
		if err := t.endForLimit(EndLimit, by, u, subjects{userID: u.ID, sessionID: id}, "session "+id); err != nil {
			return err
		}
	}
	return nil
}

// ofNewest selects the newest token of the family f, the only one that was not used. Its
// access token expires last, so that it is the last entry of an index, unless the lifetime
// was lowered. A client that refreshes without pause leaves thousands of used ones, which no
// statement of others may read.
const ofNewest = " FROM refresh_tokens t WHERE t.family_id = f.id AND t.used_at IS NULL ORDER BY t.access_expires_at DESC LIMIT 1"

// limitFamilies is limitSessions for the families of offline_access of a user, and for
// those without it that one client has of one session: an application may sign in
// silently again and again. The last use of a family is the time of its newest token.
//
// Of several clients, the one that has most of the user loses one: otherwise a client
// could end what all others hold.
//
// The families of a user are found by their sessions, of which the index has those that are
// alive: by the user, SQLite would read thousands that ended.
func (t *tx) limitFamilies(by identity.Actor, u identity.User, sessionID string, f NewFamily) error {
	if f.Limit == 0 || f.ClientID == identity.FirstPartyClient {
		return nil
	}
	of, args := "refresh_families f WHERE f.user_id || '' = $1 AND f.session_id = $3 AND f.client_id = $4 AND NOT "+offlineFamily, []any{u.ID, t.stamp(), sessionID, f.ClientID}
	if slices.Contains(strings.Fields(f.Scope), "offline_access") {
		of, args = "sessions s JOIN refresh_families f ON f.session_id = s.id WHERE s.user_id = $1 AND "+offlineFamily, args[:2]
	}
	of += " AND f.ended_at IS NULL AND f.expires_at > $2"
	var live int
	if _, err := t.get([]any{&live}, "SELECT COUNT(*) FROM "+of, args...); err != nil || live < f.Limit {
		return err // ranking them costs far more than counting
	}
	n := len(args)
	excess, err := collect(t, scanText, fmt.Sprintf(`SELECT id FROM
		(SELECT id, used, ROW_NUMBER() OVER (PARTITION BY client_id ORDER BY used DESC, id DESC) AS nth FROM
			(SELECT f.id, f.client_id, COALESCE((SELECT t.created_at`+ofNewest+`), '') AS used
			FROM %s) live) ranked
		ORDER BY nth, used DESC, id DESC LIMIT $%d OFFSET $%d`, of, n+1, n+2), append(args, endedAtOnce, f.Limit-1)...)
	if err != nil {
		return err
	}
	for _, id := range excess {
		if err := t.endForLimit(EndFamilyLimit, by, u, subjects{userID: u.ID, familyID: id}, "family "+id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) endForLimit(event EndReason, by identity.Actor, u identity.User, of subjects, what string) error {
	if _, err := t.end(event, of); err != nil {
		return err
	}
	act := Act{Action: identity.ActionEndSession, By: by, Detail: what + ", limit"}
	return t.done(act, u.ID, u.OrgID)
}
