package identity

import "github.com/pico-auth/pico-auth/internal/fault"

// The refusals that several packages return, for errors.Is.
var (
	// ErrForbidden refuses an actor that is known and lacks the permission.
	ErrForbidden = fault.New(fault.Forbidden, "forbidden", "your role does not allow this")

	// ErrReauthenticate refuses a privileged act of a user whose last authentication
	// is too long ago, or of an access token that names no session.
	ErrReauthenticate = fault.New(fault.Unauthenticated, "reauthentication_required",
		"this needs a recent sign-in: confirm your password or sign in again")

	// ErrOwnPassword refuses to reset one's own password: it is changed with the old one.
	ErrOwnPassword = fault.New(fault.Forbidden, "own_password", "your own password is changed with the old one, not reset")

	// ErrInvalidToken is the one refusal of every token that is not accepted,
	// whatever the reason: unknown, used, expired, revoked, or of a suspended user.
	ErrInvalidToken = fault.New(fault.Unauthenticated, "invalid_token", "the token is not valid")

	// ErrInvalidCredentials is the one refusal of every failed authentication.
	ErrInvalidCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "invalid e-mail or password")

	// ErrRegistrationOff refuses a registration while it is switched off.
	ErrRegistrationOff = fault.New(fault.Forbidden, "registration_disabled", "registration is switched off")

	// ErrNoConsent refuses to withdraw what a user did not allow.
	ErrNoConsent = fault.New(fault.NotFound, "not_found", "you have not allowed this application anything")

	// ErrNoUser, ErrNoGroup, ErrNoSession, ErrNoServiceToken, ErrNoClient and
	// ErrNoOrganization refuse an unknown id, address, name or secret.
	ErrNoUser         = fault.New(fault.NotFound, "not_found", "there is no such user")
	ErrNoGroup        = fault.New(fault.NotFound, "not_found", "there is no such group")
	ErrNoSession      = fault.New(fault.NotFound, "not_found", "there is no such session")
	ErrNoServiceToken = fault.New(fault.NotFound, "not_found", "there is no such service token")
	ErrNoClient       = fault.New(fault.NotFound, "not_found", "there is no such client")
	ErrNoOrganization = fault.New(fault.NotFound, "not_found", "there is no such organization")
)
