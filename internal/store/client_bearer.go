package store

import (
	"context"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
)

// ClientToken names an access token that a client holds of a user.
type ClientToken struct {
	ClientID  string
	UserID    string
	SessionID string // the claim sid
	ID        string // the claim jti
}

// ClientBearer is the user and the client of an access token, as they are now.
type ClientBearer struct {
	User       identity.User // with its metadata
	Groups     []string      // ids, sorted, never nil
	GroupNames []string      // in the order of Groups; nil unless Config.GroupNames is set
	Client     oauth.Client  // without its logo
	Claims     string        // the parameter claims of the authorization request; optional
	Ended      bool          // what the token came from ended, and the token with it
}

// ClientBearer returns the user and the client of an access token; NotFound when one of
// them does not exist any more. The caller checks identity.CanUseClient.
func (s *Store) ClientBearer(ctx context.Context, c ClientToken) (b ClientBearer, err error) {
	err = s.lookup(ctx, func(t *tx) error {
		var ofFamily, ofSession, found bool
		var family, session EndReason
		err := t.each(func(r scanner) (err error) {
			found = true
			b.Client, err = t.scanKnownClient(r, append(userDest(&b.User), &b.User.Metadata, (*groupsColumn)(&b.Groups),
				&ofFamily, (*string)(&family), &b.Claims, &ofSession, (*string)(&session))...)
			return err
		}, "SELECT "+clientColumns+", "+userColumns+", u.metadata, "+groupsOfUser+`, f.id IS NOT NULL, COALESCE(f.end_reason, ''), COALESCE(f.claims, ''),
				s.id IS NOT NULL, COALESCE(s.end_reason, '')
			FROM `+userTables+` JOIN clients c ON c.id = $3 LEFT JOIN organizations co ON co.id = c.org_id
			LEFT JOIN sessions s ON s.id = $2 AND s.user_id = u.id
			LEFT JOIN refresh_tokens t ON t.id = $4 AND t.access_jti = $4
			LEFT JOIN refresh_families f ON f.id = t.family_id AND f.session_id = $2 AND f.user_id = u.id AND f.client_id = $3
			WHERE u.id = $1`, c.UserID, c.SessionID, c.ClientID, c.ID)
		if err == nil && !found {
			err = identity.ErrNoUser
		}
		if err == nil && t.groupNames {
			b.Groups, b.GroupNames, err = t.namedGroups(c.UserID)
		}
		// A family of offline_access outlives its session. A token without a family ends with the session.
		b.Ended = family.RefusedHere() || !ofFamily && (!ofSession || session.RefusedHere())
		return err
	})
	return b, err
}
