package identity

import (
	"net/netip"
	"time"
)

// ActorKind says what an Actor is.
type ActorKind string

// The kinds. The zero value is an unauthenticated actor.
const (
	ActorUser         ActorKind = "user"
	ActorServiceToken ActorKind = "service_token"
	ActorClient       ActorKind = "client" // an OAuth client
	ActorSystem       ActorKind = "system" // the operator on the command line, or the server itself
)

// Actor is the caller of an operation, and its address. It is passed down as an
// argument; nothing below the protocols looks for it in a context. Its role
// and organization are not part of it, but read from the database in the
// transaction of the operation: see Principal. The zero Actor is unauthenticated
// and has no permission.
type Actor struct {
	Kind       ActorKind
	ID         string // of the user, service token or client; of the system the operating system's user, empty: the server itself
	OnBehalfOf string // the user for whom it acts: of a client the user's id, of the system the user that sudo names; empty: none
	SessionID  string // session of the presented access token; empty: none
	TokenID    string // jti of the presented access token; empty: none
	Address    string // client address without port; empty on the command line
	Network    string // of that address, by which clients are limited: a /24 of IPv4, a /56 of IPv6; empty on the command line
	UserAgent  string // what the client calls itself; empty on the command line
	RequestID  string // empty on the command line

	// UnknownProxy says that Address is probably of a proxy that the configuration
	// does not name, so that all clients seem to share it.
	UnknownProxy bool
}

// Around is the network of bits6 bits of IPv6, or bits4 of IPv4, that a network of an
// Actor lies in: one party may hold all of it. It is the network itself where bits are 0,
// or where it is not an address prefix.
func Around(network string, bits4, bits6 int) string {
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return network
	}
	bits := bits6
	if prefix.Addr().Is4() {
		bits = bits4
	}
	if bits == 0 || bits >= prefix.Bits() {
		return network
	}
	wide, _ := prefix.Addr().Prefix(bits) // no error: the address has as many bits
	return wide.String()
}

// AsUser returns the actor of the same request after it was authenticated as the
// user of the id.
func (a Actor) AsUser(id string) Actor {
	a.Kind, a.ID = ActorUser, id
	return a
}

// UserID is the id of the user who acts, through a client or not; empty: the actor is
// no user.
func (a Actor) UserID() string {
	switch a.Kind {
	case ActorUser:
		return a.ID
	case ActorClient:
		return a.OnBehalfOf
	default:
		return ""
	}
}

// AsClient returns the actor of the same request after it was authenticated as the
// client of the id, on behalf of the user; empty: of itself.
func (a Actor) AsClient(id, userID string) Actor {
	a.Kind, a.ID, a.OnBehalfOf = ActorClient, id, userID
	return a
}

// Principal is what policy knows of an actor, as the database holds it now.
// The zero Principal has no permission.
type Principal struct {
	Kind   ActorKind
	ID     string
	Role   Role
	OrgID  string
	Active bool // may use what it presented: CanSignIn, CanUseServiceToken
	Recent bool // signed in recently enough for privileged acts, see SignedIn; a client of itself always is
}

// is reports whether the actor is that user, through a client or not.
func (p Principal) is(user Principal) bool {
	return (p.Kind == ActorUser || p.Kind == ActorClient) && p.ID == user.ID
}

// Through returns what policy knows of a user who acts through a client: of the
// weaker one of their roles, and no more than any client may.
func (p Principal) Through(client Principal) Principal {
	switch {
	case p.Role.AtLeast(client.Role):
		p.Role = client.Role
	case !client.Role.AtLeast(p.Role):
		p.Role = "" // one of them is unknown
	}
	p.Kind, p.Active = ActorClient, p.Active && client.Active
	return p
}

// System is the principal of ActorSystem. Its organization is the default of new
// rows for which none is named.
func System() Principal {
	return Principal{Kind: ActorSystem, Role: Superadmin, OrgID: DefaultOrg, Active: true}
}

// Principal returns what policy knows of the user.
func (u User) Principal() Principal {
	return Principal{Kind: ActorUser, ID: u.ID, Role: u.Role, OrgID: u.OrgID, Active: CanSignIn(u)}
}

// Principal returns what policy knows of the service token.
func (t ServiceToken) Principal(now time.Time) Principal {
	return Principal{Kind: ActorServiceToken, ID: t.ID, Role: t.Role, OrgID: t.OrgID, Active: CanUseServiceToken(t, now)}
}

// SignedIn returns the principal of a user whose session has that auth_time; zero:
// no session that has not ended. Privileged acts need one at most maxAge old; 0: of
// any age, and none is needed.
func (p Principal) SignedIn(authTime, now time.Time, maxAge time.Duration) Principal {
	p.Recent = maxAge == 0 || !authTime.IsZero() && now.Sub(authTime) <= maxAge
	return p
}
