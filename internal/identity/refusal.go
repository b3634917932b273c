package identity

import "github.com/pico-auth/pico-auth/internal/fault"

// The refusals that more than one package gives, for errors.Is.
var (
	// ErrForbidden is the answer to an actor that is known and may not.
	ErrForbidden = fault.New(fault.Forbidden, "forbidden", "your role does not allow this")

	// ErrInvalidToken is the one answer to every token that is not accepted,
	// whatever the reason: unknown, used, expired, revoked, or of a suspended user.
	ErrInvalidToken = fault.New(fault.Unauthenticated, "invalid_token", "the token is not valid")

	// ErrInvalidCredentials is the one answer to every failed proof.
	ErrInvalidCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "invalid e-mail or password")

	// ErrRegistrationOff refuses a user who registers while that is switched off.
	ErrRegistrationOff = fault.New(fault.Forbidden, "registration_disabled", "registration is switched off")

	// ErrNoUser, ErrNoGroup and ErrNoServiceToken answer an unknown id, address,
	// name or secret.
	ErrNoUser         = fault.New(fault.NotFound, "not_found", "there is no such user")
	ErrNoGroup        = fault.New(fault.NotFound, "not_found", "there is no such group")
	ErrNoServiceToken = fault.New(fault.NotFound, "not_found", "there is no such service token")
)
