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

	hash, renewed PasswordHash
}

// NewProof is for package login, the only one that authenticates users. user is as
// read before the authentication.
func NewProof(user User, at time.Time, methods ...string) Proof {
	return Proof{userID: user.ID, methods: methods, at: at, version: user.CredentialsVersion}
}

// Renewing returns the proof by a password whose hash is replaced with renewed when
// the session starts, unless it has changed until then.
func (p Proof) Renewing(hash, renewed PasswordHash) Proof {
	p.hash, p.renewed = hash, renewed
	return p
}

// Renewed returns the hash that the password matched, and the hash in Unicode form
// NFC that replaces it; both are empty when none does.
func (p Proof) Renewed() (hash, renewed PasswordHash) { return p.hash, p.renewed }

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
