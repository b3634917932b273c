package store

import (
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// lockUserOf locks the user of the session before startGrant: the consent stays until the
// commit, and the limit of families counts one grant of the user after the other.
func (t *tx) lockUserOf(sessionID string) error {
	return t.lock("users", "u", "u.id = (SELECT s.user_id FROM sessions s WHERE s.id = $1)", sessionID)
}

// startGrant stores what a registered client holds from now on of the session in a,
// which completeAuthorization read in this transaction with forShare. It is
// identity.ErrInvalidToken when the session has ended, or when the user may not have a
// token of the client.
//
// Every grant type with a user ends here, so none can leave the question out.
func (t *tx) startGrant(by identity.Actor, a Authorization, f NewFamily) (Subject, error) {
	if a.SessionID == "" || !identity.CanUseClient(a.User, a.Groups, ClientPolicy(a.Client)) {
		return Subject{}, identity.ErrInvalidToken
	}
	if f.ExpiresAt.IsZero() {
		f.ExpiresAt = a.sessionEnd
	}
	if f.AuthTime.IsZero() { // there was no code
		f.AuthTime, f.AMR, f.ACR = a.AuthTime, a.Methods, a.ACR
	}
	g, err := t.startFamily(by, a.User, a.SessionID, f)
	g.Groups, g.Granted = a.Groups, &f.Granted
	return t.named(g, err)
}

// ClientPolicy is which users the client signs in.
func ClientPolicy(c oauth.Client) identity.ClientPolicy {
	return identity.ClientPolicy{Active: !c.Suspended, OrgID: c.OrgID, Roles: c.AllowedRoles, Groups: c.AllowedGroups}
}

// clientPolicy reads the policy of the client; lock is the result of forShare or
// unlocked. An unknown client signs in none.
func (t *tx) clientPolicy(clientID, lock string) (identity.ClientPolicy, error) {
	c, err := t.clientAlone(clientID, lock)
	if fault.KindOf(err) == fault.NotFound {
		return identity.ClientPolicy{}, nil
	}
	return ClientPolicy(c), err
}

// userForClient reads a user with everything that claims are made of, and their groups.
// It is identity.ErrInvalidToken when they may not have a token of the client.
func (t *tx) userForClient(userID string, policy identity.ClientPolicy, lock string) (u identity.User, groups []string, err error) {
	_, err = t.get(claimsDest(&u, &groups), "SELECT "+claimsColumns+" FROM "+userTables+" WHERE u.id = $1"+lock, userID)
	if err == nil && !identity.CanUseClient(u, groups, policy) {
		err = identity.ErrInvalidToken
	}
	return u, groups, err
}

// heldSubject is what a registered client holds of a user.
type heldSubject struct {
	Subject
	end     time.Time // of the family
	offline bool

	// Of the session, unless the family is of offline_access.
	lastUsed, sessionEnd time.Time
	stay                 bool // "stay signed in"
}

// heldByClient reads the family of a refresh token and its user. It is
// identity.ErrInvalidToken unless the family is the client's, it and its session are
// alive, and the user may have a token of the client now; and what p.Admit returns.
func (t *tx) heldByClient(userID, familyID string, p PresentedRefresh) (h heldSubject, err error) {
	g := &Granted{}
	h.FamilyID, h.Granted = familyID, g
	var amr string
	valid, err := t.get([]any{
		&g.Scope, &g.Audience, &g.Claims,
		timeColumn{&g.AuthTime},
		&amr, &g.ACR,
		timeColumn{&h.end},
		&h.SessionID, &h.offline,
		timeColumn{&h.lastUsed},
		timeColumn{&h.sessionEnd},
		&h.stay,
	}, `SELECT f.scope, f.audience, f.claims, COALESCE(f.auth_time, s.auth_time), f.amr, f.acr, f.expires_at, COALESCE(f.session_id, ''), `+offlineFamily+`,
			s.last_used_at, s.expires_at, COALESCE(s.stay, 0) = 1
		FROM refresh_families f LEFT JOIN sessions s ON s.id = f.session_id
		WHERE f.id = $1 AND f.user_id = $2 AND f.client_id = $3 AND f.ended_at IS NULL AND f.expires_at > $4
			AND (`+offlineFamily+` OR s.ended_at IS NULL AND s.idle_expires_at > $4 AND s.expires_at > $4)`,
		familyID, userID, p.ClientID, t.stamp())
	if err != nil {
		return h, err
	}
	if !valid {
		return h, identity.ErrInvalidToken
	}
	g.AMR = strings.Fields(amr)
	policy, err := t.clientPolicy(p.ClientID, unlocked("c"))
	if err != nil {
		return h, err
	}
	if h.User, h.Groups, err = t.userForClient(userID, policy, unlocked("u")); err != nil {
		return h, err
	}
	if h.Subject, err = t.named(h.Subject, nil); err != nil {
		return h, err
	}
	return h, p.Admit(h.Subject)
}

// succeedOfClient is succeed for a token of a registered client. A refresh of a family
// without offline_access is a use of its session.
func (t *tx) succeedOfClient(userID, familyID string, p PresentedRefresh, next NewRefresh) (Subject, error) {
	h, err := t.heldByClient(userID, familyID, p)
	if err != nil {
		return Subject{}, err
	}
	if err := t.insertRefresh(userID, familyID, h.end, next); err != nil {
		return Subject{}, err
	}
	if !h.offline && t.now.Sub(h.lastUsed) >= lastUsedEvery {
		idle, _ := t.browserTimes.ends(t.now, h.stay)
		err = t.used(h.SessionID, earlier(idle, h.sessionEnd))
	}
	return h.Subject, err
}
