package identity

import (
	"slices"
	"time"
)

// FirstPartyClient is the client of the JSON login, built in and registered
// nowhere. A client_id never equals an audience, an issuer or the id of a user
// (RFC 9700 section 4.15): ids of users are UUIDs, and package config refuses
// the audience.
const FirstPartyClient = "urn:pico-auth:client:first-party"

// MethodPassword is the method of a user proved by a password, RFC 8176.
const MethodPassword = "pwd"

// ACROneFactor is the authentication context class of a user proved by one
// factor.
const ACROneFactor = "urn:pico-auth:acr:1"

// Proof says that a user was just proved, and how. The zero Proof proves
// no user. It is good for one session, and only while the user's credentials are
// those that were proved: the transaction that starts the session compares
// their version.
type Proof struct {
	userID  string
	methods []string
	at      time.Time
	version int64
}

// NewProof is for package login, which alone proves users. user is as read
// before the proof.
func NewProof(user User, at time.Time, methods ...string) Proof {
	return Proof{userID: user.ID, methods: methods, at: at, version: user.CredentialsVersion}
}

// UserID is who was proved; empty: no user.
func (p Proof) UserID() string { return p.userID }

// Methods is how, as in the claim amr (RFC 8176).
func (p Proof) Methods() []string { return slices.Clone(p.methods) }

// ACR is the authentication context class that the methods reach.
func (p Proof) ACR() string { return ACROneFactor }

// Time is when, as in the claim auth_time.
func (p Proof) Time() time.Time { return p.at }

// CredentialsVersion is that of the credentials which were proved.
func (p Proof) CredentialsVersion() int64 { return p.version }
