package identity

import (
	"slices"
	"time"
)

// FirstPartyClient is the client of the JSON login, built in and not registered.
// A client_id never equals an audience, an issuer or the id of a user
// (RFC 9700 section 4.15): ids of users are UUIDs, and package config refuses
// it as an audience.
const FirstPartyClient = "urn:pico-auth:client:first-party"

// MethodPassword is the authentication method of a password, RFC 8176.
const MethodPassword = "pwd"

// ACROneFactor is the authentication context class of authentication with one
// factor.
const ACROneFactor = "urn:pico-auth:acr:1"

// Proof says that a user was just authenticated, and how. The zero Proof proves
// no user. It is valid for one session, and only while the user's credentials are
// those that were proved: the transaction that starts the session compares
// their version.
type Proof struct {
	userID  string
	methods []string
	at      time.Time
	version int64
}

// NewProof is for package login, the only one that authenticates users. user is as
// read before the authentication.
func NewProof(user User, at time.Time, methods ...string) Proof {
	return Proof{userID: user.ID, methods: methods, at: at, version: user.CredentialsVersion}
}

// UserID is the id of the authenticated user; empty: no user.
func (p Proof) UserID() string { return p.userID }

// Methods are the authentication methods, as in the claim amr (RFC 8176).
func (p Proof) Methods() []string { return slices.Clone(p.methods) }

// ACR is the authentication context class of the methods.
func (p Proof) ACR() string { return ACROneFactor }

// Time is the time of the authentication, as in the claim auth_time.
func (p Proof) Time() time.Time { return p.at }

// CredentialsVersion is the version of the credentials that were proved.
func (p Proof) CredentialsVersion() int64 { return p.version }
