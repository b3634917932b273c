package oauth

// Code is an error code, RFC 6749 sections 4.1.2.1 and 5.2 and the specifications
// that extend them.
type Code string

// The codes.
const (
	InvalidRequest          Code = "invalid_request"
	InvalidClient           Code = "invalid_client"
	InvalidGrant            Code = "invalid_grant"
	InvalidScope            Code = "invalid_scope"
	InvalidTarget           Code = "invalid_target" // RFC 8707
	InvalidToken            Code = "invalid_token"  // RFC 6750
	InsufficientScope       Code = "insufficient_scope"
	UnauthorizedClient      Code = "unauthorized_client"
	UnsupportedGrantType    Code = "unsupported_grant_type"
	UnsupportedResponseType Code = "unsupported_response_type"
	UnsupportedTokenType    Code = "unsupported_token_type" // RFC 7009
	AccessDenied            Code = "access_denied"
	ServerError             Code = "server_error"
	TemporarilyUnavailable  Code = "temporarily_unavailable"

	// OpenID Connect Core 3.1.2.6.
	LoginRequired            Code = "login_required"
	ConsentRequired          Code = "consent_required"
	InteractionRequired      Code = "interaction_required"
	AccountSelectionRequired Code = "account_selection_required"
	RequestNotSupported      Code = "request_not_supported"
	RequestURINotSupported   Code = "request_uri_not_supported"
	RegistrationNotSupported Code = "registration_not_supported"
	UnmetAuthentication      Code = "unmet_authentication_requirements"

	// RFC 8628 section 3.5.
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"
)

// Error is a refusal in the terms of the protocol. Its description is for the
// developer of the client; it never contains what was submitted.
type Error struct {
	Code        Code
	Description string // ASCII without quotes and backslashes, RFC 6749 section 5.2
	Cause       error  // for the log only; nil: none
}

// Error implements error.
func (e *Error) Error() string {
	if e.Cause != nil {
		return string(e.Code) + ": " + e.Description + ": " + e.Cause.Error()
	}
	return string(e.Code) + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Refuse returns an Error.
func Refuse(code Code, description string) *Error {
	return &Error{Code: code, Description: description}
}
