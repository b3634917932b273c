package identity

// ActorKind says what an Actor is.
type ActorKind string

// The kinds. The zero value is an actor that is not authenticated.
const (
	ActorUser         ActorKind = "user"
	ActorServiceToken ActorKind = "service_token"
	ActorClient       ActorKind = "client" // an OAuth client
	ActorSystem       ActorKind = "system" // the operator on the command line, or the server itself
)

// Actor is who asks for something, and from where. It is passed down as an
// argument; nothing below the protocols looks for it in a context. Its role
// and organization are read from the database in the transaction that acts,
// so they are no part of it: see Principal. The zero Actor is not
// authenticated and has no permission.
type Actor struct {
	Kind       ActorKind
	ID         string // of the user, service token or client; of the system the operating system's user, empty: the server itself
	OnBehalfOf string // for whom it acts: of a client the user's id, of the system the user that sudo names; empty: for itself
	SessionID  string // session of the presented access token; empty: none
	TokenID    string // jti of the presented access token; empty: none
	Address    string // client address without port; empty on the command line
	UserAgent  string // what the client calls itself; empty on the command line
	RequestID  string // empty on the command line
}

// AsUser returns the actor of the same request that turned out to be the user
// of the id.
func (a Actor) AsUser(id string) Actor {
	a.Kind, a.ID = ActorUser, id
	return a
}

// Principal is what policy knows of an actor: what the database says of it now.
// The zero Principal has no permission.
type Principal struct {
	Kind   ActorKind
	Role   Role
	OrgID  string
	Active bool // may use what it presented: CanSignIn, CanUseServiceToken
}

// System is the principal of ActorSystem. Its organization is the one of new
// things for which none is named.
func System() Principal {
	return Principal{Kind: ActorSystem, Role: Superadmin, OrgID: DefaultOrg, Active: true}
}

// Principal returns the user as policy sees them.
func (u User) Principal() Principal {
	return Principal{Kind: ActorUser, Role: u.Role, OrgID: u.OrgID, Active: CanSignIn(u)}
}

// Principal returns the service token as policy sees it.
func (t ServiceToken) Principal() Principal {
	return Principal{Kind: ActorServiceToken, Role: t.Role, OrgID: t.OrgID, Active: CanUseServiceToken(t)}
}
