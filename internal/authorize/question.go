package authorize

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Step is what is missing for a code.
type Step string

// The steps, in the order in which they are asked for.
const (
	SignIn        Step = "sign_in"
	Register      Step = "register"       // the user wants a new account
	ChooseAccount Step = "choose_account" // continue as the present user, or sign in as another
	NotAllowed    Step = "not_allowed"    // the user may not use the client; another one may
	Consent       Step = "consent"
	ContinueAs    Step = "continue_as" // any program of the device could have sent the request
	Nothing       Step = "nothing"
)

// Question is what a page shows of a request.
type Question struct {
	ID      string
	Step    Step
	Request oauth.AuthorizationRequest
	Client  oauth.Client
	User    identity.User // who is signed in; zero: none
	Another bool          // the user wants to sign in as another user
	New     []string      // scopes that the user has not allowed the client before
}

// Question returns what is missing for a request of the browser, for a page. It changes
// nothing. With the secret that a sign-in has just replaced that is another sign-in.
func (q *Requests) Question(ctx context.Context, id string, b Browser) (Question, error) {
	ref := b.ref(id)
	ref.Replaced = true
	a, err := q.store.Authorization(ctx, ref)
	if err != nil {
		return Question{}, fmt.Errorf("read authorization request: %w", err)
	}
	if a.Replaced {
		a.SessionID, a.User, a.Decided = "", identity.User{}, store.Decisions{}
	}
	step, refusal := missing(a)
	if refusal != nil {
		step = Nothing // Continue has the response
	}
	return Question{
		ID: id, Step: step, Request: a.Request, Client: a.Client, User: a.User,
		Another: a.Decided.Another && a.Decided.SessionID == a.SessionID,
		New:     oauth.MissingScopes(a.Request.Allowance(a.Client), a.Granted),
	}, nil
}

// missing is the one question of a request: what is missing for its code. A refusal is the
// response to the client.
func missing(a store.Authorization) (Step, *oauth.Error) {
	d := a.Decided
	if d.SessionID != a.SessionID {
		d = store.Decisions{} // of another session
	}
	r := a.Request
	switch {
	case a.Client.Suspended:
		return Nothing, oauth.Refuse(oauth.UnauthorizedClient, "the client is suspended")
	case r.Prompts(oauth.PromptCreate) && !d.SignedIn:
		return Register, nil
	case a.SessionID == "", d.Another:
		return SignIn, nil
	case !d.SignedIn && mustReauthenticate(a):
		return SignIn, nil
	case !isMeant(r, a.User.ID):
		if !d.SignedIn {
			return SignIn, nil
		}
		return Nothing, oauth.Refuse(oauth.LoginRequired, "another user signed in than the request is for")
	case !meetsACR(r, a.ACR):
		return Nothing, oauth.Refuse(oauth.UnmetAuthentication, "no authentication of the requested acr is possible")
	case !MayUse(a.Client, a.User, a.Groups):
		return NotAllowed, nil
	case r.Prompts(oauth.PromptSelectAccount) && !d.Chosen && !d.SignedIn:
		return ChooseAccount, nil
	case needsConsent(a, d):
		return Consent, nil
	case oauth.Loopback(r.RedirectURI) && !d.Chosen && !d.SignedIn && d.Consented == "":
		return ContinueAs, nil
	default:
		return Nothing, nil
	}
}

// mustReauthenticate reports whether the user must sign in again though there is a
// session: prompt=login and max_age, OpenID Connect Core 3.1.2.1.
func mustReauthenticate(a store.Authorization) bool {
	if a.Request.Prompts(oauth.PromptLogin) {
		return true
	}
	age := a.Request.MaxAge
	return age != nil && (*age == 0 || a.CreatedAt.Sub(a.AuthTime) > time.Duration(*age)*time.Second)
}

// isMeant reports whether the response may be about the user: the one of id_token_hint
// and of the requested claim sub (OpenID Connect Core 3.1.2.1 and 5.5.1).
func isMeant(r oauth.AuthorizationRequest, userID string) bool {
	if r.HintedUser != "" && r.HintedUser != userID {
		return false
	}
	subjects := r.Subjects()
	return subjects == nil || slices.Contains(subjects, userID)
}

// meetsACR reports whether the authentication has one of the classes that are essential
// (OpenID Connect Core 5.5.1.1). acr_values are voluntary.
func meetsACR(r oauth.AuthorizationRequest, acr string) bool {
	essential := r.EssentialACR()
	return essential == nil || slices.Contains(essential, acr)
}

// MayUse is whether the user may use the client: at a code, its exchange and each
// refresh.
func MayUse(c oauth.Client, u identity.User, groups []string) bool {
	return identity.CanUseClient(u, groups, store.ClientPolicy(c))
}

// needsConsent reports whether the user is asked to allow the client what the request asks
// for. It is remembered, and asked for again only for more.
func needsConsent(a store.Authorization, d store.Decisions) bool {
	r, c := a.Request, a.Client
	wanted := r.Allowance(c)
	if len(oauth.MissingScopes(wanted, d.Consented)) == 0 {
		return false
	}
	if r.Prompts(oauth.PromptConsent) {
		return true
	}
	return asksUser(c, r) && (neverWithout(r.Scopes()) || len(oauth.MissingScopes(wanted, a.Granted)) > 0)
}

// asksUser reports whether what the request asks for needs a consent of the user.
func asksUser(c oauth.Client, r oauth.AuthorizationRequest) bool {
	return !c.FirstParty && (c.Consent || neverWithout(r.Scopes()))
}

// neverWithout reports whether the scopes have one that is allowed again for each
// request.
func neverWithout(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(scope string) bool {
		return scope == oauth.ScopeOfflineAccess || scope == oauth.ScopeAccount || scope == oauth.ScopeAdmin
	})
}

// silent is the response to a request with prompt=none for which something is missing,
// OpenID Connect Core 3.1.2.6.
func silent(step Step) *oauth.Error {
	switch step {
	case SignIn, Register:
		return oauth.Refuse(oauth.LoginRequired, "the user must sign in")
	case ChooseAccount:
		return oauth.Refuse(oauth.AccountSelectionRequired, "the user must choose an account")
	case NotAllowed:
		return oauth.Refuse(oauth.AccessDenied, "the user may not use the client")
	case Consent:
		return oauth.Refuse(oauth.ConsentRequired, "the user must allow this")
	default:
		return oauth.Refuse(oauth.InteractionRequired, "the user must confirm")
	}
}
