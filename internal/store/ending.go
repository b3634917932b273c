package store

import (
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// EndReason is the event that ended a session or a refresh token family. It is
// stored beside the time. The zero value means that it has not ended.
type EndReason string

// The events. Not all of them end something.
const (
	EndLogout           EndReason = "logout"          // a sign-out, here or of one session from elsewhere
	EndLogoutAll        EndReason = "logout_all"      // of all sessions, by the user or an administrator
	EndLimit            EndReason = "limit"           // of sessions a user
	EndFamilyLimit      EndReason = "family_limit"    // of what clients hold of a user
	EndExpiry           EndReason = "expiry"          // idle or absolute
	EndPasswordChange   EndReason = "password_change" // by the user
	EndPasswordReset    EndReason = "password_reset"  // by an administrator or by mail, and account recovery
	EndFactorRemoval    EndReason = "factor_removal"  // or of a passkey
	EndEmailChange      EndReason = "email_change"
	EndFactorAddition   EndReason = "factor_addition" // or of a passkey or a first password
	EndRoleChange       EndReason = "role_change"
	EndOrgChange        EndReason = "org_change"
	EndSuspension       EndReason = "suspension"
	EndDeletion         EndReason = "deletion"
	EndOrgSuspension    EndReason = "org_suspension"
	EndReuse            EndReason = "reuse"      // of a refresh token
	EndCodeReuse        EndReason = "code_reuse" // of an authorization code
	EndTokenRevocation  EndReason = "token_revocation"
	EndConsent          EndReason = "consent_withdrawn"
	EndClientSuspension EndReason = "client_suspension" // or deletion
	EndRehash           EndReason = "rehash"

	// EndOwnChange was written by earlier releases to the session that changed its
	// own password, whose access tokens stayed valid.
	EndOwnChange EndReason = "own_change"
)

// reach says which sessions or families an event ends.
type reach uint8

const (
	none     reach = iota
	this           // the given session; of families, those of that session
	others         // all sessions of the user except the given one
	all            // all of the user, or of all users of the organization
	family         // the given family
	ofClient       // all families of the given client, of the user or of all users
)

// ending says what an event ends.
type ending struct {
	sessions, families reach

	offline bool // of the session, families of offline_access too

	// What happens to the unexpired access tokens of what ended. With neither they
	// stay valid until they expire.
	refused bool // by this server, at once
	listed  bool // as revoked

	version bool // proofs made before and not used yet become invalid
}

// endings is the table of what each event ends.
var endings = map[EndReason]ending{
	EndLogout:           {sessions: this, families: this, refused: true, listed: true},
	EndLogoutAll:        {sessions: all, families: all, offline: true, refused: true, listed: true},
	EndLimit:            {sessions: this, families: this, refused: true, listed: true},
	EndFamilyLimit:      {families: family, refused: true, listed: true},
	EndExpiry:           {sessions: this, families: this},
	EndPasswordChange:   {sessions: others, families: all, offline: true, refused: true, listed: true, version: true},
	EndPasswordReset:    {sessions: all, families: all, offline: true, refused: true, listed: true, version: true},
	EndFactorRemoval:    {sessions: others, families: all, offline: true, refused: true, listed: true, version: true},
	EndEmailChange:      {sessions: others, families: all, offline: true, refused: true, listed: true, version: true},
	EndFactorAddition:   {version: true},
	EndRoleChange:       {sessions: all, families: all, offline: true, listed: true}, // here the database decides
	EndOrgChange:        {sessions: all, families: all, offline: true, listed: true},
	EndSuspension:       {sessions: all, families: all, offline: true, refused: true, listed: true},
	EndDeletion:         {sessions: all, families: all, offline: true, refused: true, listed: true},
	EndOrgSuspension:    {sessions: all, families: all, offline: true, refused: true, listed: true},
	EndReuse:            {families: family, refused: true, listed: true},
	EndCodeReuse:        {families: family, refused: true, listed: true},
	EndTokenRevocation:  {families: family, refused: true, listed: true},
	EndConsent:          {families: ofClient, refused: true, listed: true},
	EndClientSuspension: {families: ofClient, refused: true},
	EndRehash:           {},
	EndOwnChange:        {},
}

// RefusedHere reports whether this server refuses the unexpired access tokens of
// a session or family that ended for this reason.
func (r EndReason) RefusedHere() bool { return endings[r].refused }

// weaker returns the reasons that leave more valid than r does. What ended for one
// of them ends again: after a change of role, access tokens are refused by other
// services only, and that must not protect a session from a later logout.
func (r EndReason) weaker() (reasons []EndReason) {
	e := endings[r]
	for other, o := range endings {
		covers := (e.refused || !o.refused) && (e.listed || !o.listed)
		if covers && (e.refused != o.refused || e.listed != o.listed) {
			reasons = append(reasons, other)
		}
	}
	slices.Sort(reasons) // the statement must be the same each time
	return reasons
}

// subjects says what an event applies to. Fields that an event does not need are
// empty.
type subjects struct {
	userID, orgID string // whose sessions; orgID: all users of the organization
	sessionID     string // the given session: the claim sid
	familyID      string
	clientID      string
}

// offlineFamily is the condition that a family, alias f, remains valid after its
// session's logout (OpenID Connect Core 11).
//
// It does not use LIKE, in which _ matches any character and SQLite ignores the case.
const offlineFamily = "' ' || f.scope || ' ' <> replace(' ' || f.scope || ' ', ' offline_access ', ' ')"

// end applies an event to sessions, families and the version of the credentials,
// and reports whether it ended anything. It is the only place where sessions and
// families end.
//
// An event about a user needs the user's row locked, so that no session starts
// concurrently.
func (t *tx) end(event EndReason, of subjects) (ended bool, err error) {
	e := endings[event]
	if e.version {
		if _, err := t.exec("UPDATE users SET credentials_version = credentials_version + 1 WHERE id = $1", of.userID); err != nil {
			return false, err
		}
	}
	if e.families == family {
		// Other events lock the session before its families, and so does this one.
		if err := t.lock("sessions", "s", "s.id = (SELECT f.session_id FROM refresh_families f WHERE f.id = $1)", of.familyID); err != nil {
			return false, err
		}
	}
	sessions, err := t.endSessions(event, of)
	if err != nil {
		return false, err
	}
	families, err := t.endFamilies(event, of)
	return sessions+families > 0, err
}

// endable is the condition on what an event applies to: what has not ended, and what
// ended for a reason that left more valid.
func (r EndReason) endable() string {
	condition := "ended_at IS NULL"
	var weaker []string
	for _, w := range r.weaker() {
		weaker = append(weaker, "'"+string(w)+"'")
	}
	if len(weaker) > 0 {
		condition += " OR end_reason IN (" + strings.Join(weaker, ", ") + ")"
	}
	return condition
}

// whose is the condition on the user, which is parameter $3.
func (of subjects) whose() (condition, user string) {
	if of.orgID != "" {
		return "user_id IN (SELECT id FROM users WHERE org_id = $3)", of.orgID
	}
	return "user_id = $3", of.userID
}

func (t *tx) endSessions(event EndReason, of subjects) (int64, error) {
	whose, user := of.whose()
	args := []any{t.stamp(), string(event), user}
	switch endings[event].sessions {
	case this:
		whose += " AND id = $4"
		args = append(args, of.sessionID)
	case others:
		whose += " AND id <> $4"
		args = append(args, of.sessionID)
	case all:
	default:
		return 0, nil
	}
	cookie := "COALESCE(cookie_hash, '')"
	if t.past {
		cookie = "''"
	}
	ended, err := collect(t, scanText, "UPDATE sessions SET ended_at = $1, end_reason = $2, spared_jti = NULL WHERE "+whose+
		" AND ("+event.endable()+" OR spared_jti IS NOT NULL) RETURNING "+cookie, args...)
	if err == nil && slices.ContainsFunc(ended, func(cookie string) bool { return cookie != "" }) {
		err = t.queueLogouts(whose, args)
	}
	return int64(len(ended)), err
}

func (t *tx) endFamilies(event EndReason, of subjects) (int64, error) {
	e := endings[event]
	whose, user := of.whose()
	args := []any{t.stamp(), string(event), user}
	switch e.families {
	case this: // a family without a session, of the previous release, counts as its own session
		// SQLite would read all families of the user by the index, thousands that ended among them.
		whose = "f.user_id || '' = $3 AND (f.session_id = $4 OR f.id = $4)"
		args = append(args, of.sessionID)
	case family:
		whose += " AND f.id = $4"
		args = append(args, of.familyID)
	case ofClient:
		whose += " AND f.client_id = $4"
		args = append(args, of.clientID)
		if user == "" {
			// The second condition is that of the index.
			whose, args = "f.client_id = $3 AND f.client_id <> '"+identity.FirstPartyClient+"'", []any{args[0], args[1], of.clientID}
		}
	case all:
	default:
		return 0, nil
	}
	if e.families == this && !e.offline {
		whose += " AND NOT " + offlineFamily
	}
	n, err := t.exec("UPDATE refresh_families AS f SET ended_at = $1, end_reason = $2 WHERE "+whose+" AND ("+event.endable()+")", args...)
	if err != nil || n == 0 {
		return n, err
	}
	t.ended = t.now.UnixMicro()
	if e.families == all {
		return n, nil
	}
	return n, t.endEmptied(whose, args)
}

// endEmptied ends the sessions of the JSON login whose only family was just
// ended with these arguments: no client can use them without it.
func (t *tx) endEmptied(whose string, args []any) error {
	_, err := t.exec(`UPDATE sessions SET ended_at = $1, end_reason = $2, spared_jti = NULL WHERE ended_at IS NULL AND id IN
			(SELECT f.session_id FROM refresh_families f WHERE `+whose+` AND f.client_id = '`+identity.FirstPartyClient+`')
		AND NOT EXISTS (SELECT 1 FROM refresh_families f WHERE f.session_id = sessions.id AND f.ended_at IS NULL)`, args...)
	return err
}
