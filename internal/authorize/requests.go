package authorize

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pico-auth/pico-auth/internal/audit"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/throttle"
)

// Bounds of open requests.
const (
	MaxRequest     = 16 << 10 // bytes of one
	MaxOfNetwork   = 500
	DefaultMaxOpen = 20_000
)

// Lifetime is how long a request waits for the user.
const Lifetime = store.AuthorizationLifetime

// CookieLifetime is how long the browser keeps its secret: longer than a request lasts, so
// that it is still known as its own when the user is too late.
const CookieLifetime = time.Hour

// CodeLifetime is how long a code can be exchanged.
const CodeLifetime = time.Minute

// ErrNotFound refuses a request that is unknown, has expired, has its response already,
// or belongs to another browser.
var ErrNotFound = store.ErrNoAuthorization

// Ended is the ErrNotFound of a request that belongs to the browser and has ended: where it
// was to lead.
type Ended = store.EndedAuthorization

// Config is what Requests need. Store, Audit and Issuer are required.
type Config struct {
	Store    *store.Store
	Audit    *audit.Log
	Throttle *throttle.Throttle // nil: requests of a network are not limited
	Issuer   string             // as in the claim iss
	MaxOpen  int                // open requests in all; 0: DefaultMaxOpen
	Now      func() time.Time   // nil: time.Now

	// Hint returns the user that an ID token of the client is about, expired or not; empty:
	// it is not one of ours. nil: none is.
	Hint func(idToken, clientID string) (userID string)
}

// Requests keeps authorization requests. It is safe for concurrent use.
type Requests struct {
	store    *store.Store
	audit    *audit.Log
	throttle *throttle.Throttle
	issuer   string
	maxOpen  int
	hint     func(idToken, clientID string) string
	now      func() time.Time
}

// New returns Requests.
func New(cfg Config) *Requests {
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = DefaultMaxOpen
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Hint == nil {
		cfg.Hint = func(string, string) string { return "" }
	}
	return &Requests{
		store: cfg.Store, audit: cfg.Audit, throttle: cfg.Throttle, issuer: cfg.Issuer, maxOpen: cfg.MaxOpen,
		hint: cfg.Hint, now: cfg.Now,
	}
}

// Browser is what a browser presents.
type Browser struct {
	Secret    Secret // of its cookie for authorization requests; empty: none
	SessionID string // of the session that its cookie names; empty: none

	// CookieHash is the form of that cookie in the store, by which Begin finds the session;
	// empty: none.
	CookieHash string
}

// Secret tells the browser that a request belongs to: 256 random bits. The store has
// its hash only. Printing redacts it.
type Secret string

func newSecret() Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the process instead
	return Secret(base64.RawURLEncoding.EncodeToString(bits[:]))
}

// hash is the form in which the store has the secret; empty for text that cannot be one.
func (s Secret) hash() string {
	if len(s) != 43 {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

func (b Browser) ref(id string) store.AuthorizationRef {
	return store.AuthorizationRef{ID: id, BrowserHash: b.Secret.hash(), SessionID: b.SessionID}
}

// Next is where the browser goes: to the client with a response, or to a page.
type Next struct {
	Response *oauth.AuthorizationResponse // nil: to the page of Step
	ID       string                       // of the request
	Step     Step
	Secret   Secret // that the browser gets for CookieLifetime; empty: it keeps the one it has
}

// Begin starts an authorization request of a browser. An oauth.Error is for a page: the
// client or its redirect URI is not proved. Other faults of the request are a response
// to the client. Neither they nor a request with prompt=none store anything that waits.
func (q *Requests) Begin(ctx context.Context, by identity.Actor, params url.Values, b Browser) (Next, error) {
	a, refused, err := q.validate(ctx, params, b.CookieHash)
	if err != nil || refused != nil {
		return Next{Response: refused}, err
	}
	r := a.Request
	step, refusal := missing(a)
	switch {
	case refusal == nil && step == Nothing:
		if err := q.throttle.AuthorizationRequest(ctx, by); err != nil { // a code is stored too
			return Next{}, err
		}
		if refusal := q.tooMany(ctx, by, a); refusal != nil {
			return q.refused(r.Destination, refusal), nil
		}
		return q.issueAtOnce(ctx, by, r, a.SessionID)
	case refusal == nil && r.Prompts(oauth.PromptNone):
		refusal = silent(step)
	}
	if refusal != nil {
		q.refuse(ctx, by, a, refusal)
		return q.refused(r.Destination, refusal), nil
	}
	n, secret := q.fresh(by, r), newSecret()
	n.Presented, n.Browser = b.Secret.hash(), secret.hash()
	if err := q.throttle.WaitingRequest(ctx, by); err != nil {
		return Next{}, err
	}
	kept, err := q.store.InsertAuthorization(ctx, n)
	if err != nil {
		return Next{}, fmt.Errorf("store authorization request: %w", err)
	}
	if kept {
		secret = b.Secret // again, for as long as this request
	}
	return Next{ID: n.ID, Step: step, Secret: secret}, nil
}

// Post stores an authorization request that arrived without cookies. It belongs to the
// browser that asks for it first, with Bind.
func (q *Requests) Post(ctx context.Context, by identity.Actor, params url.Values) (Next, error) {
	a, refused, err := q.validate(ctx, params, "")
	if err != nil || refused != nil {
		return Next{Response: refused}, err
	}
	if err := q.throttle.WaitingRequest(ctx, by); err != nil {
		return Next{}, err
	}
	n := q.fresh(by, a.Request)
	if _, err := q.store.InsertAuthorization(ctx, n); err != nil {
		return Next{}, fmt.Errorf("store authorization request: %w", err)
	}
	return Next{ID: n.ID}, nil
}

// Bind gives a request that arrived without cookies to the browser, and returns what it
// presents from now on; Secret is then new, or the one that it had.
func (q *Requests) Bind(ctx context.Context, id string, b Browser) (Browser, error) {
	fresh := newSecret()
	kept, err := q.store.BindAuthorization(ctx, id, b.Secret.hash(), fresh.hash())
	if err != nil {
		return Browser{}, fmt.Errorf("bind authorization request: %w", err)
	}
	if !kept {
		b.Secret = fresh
	}
	return b, nil
}

// Continue asks what is missing for a request of the browser. When nothing is, the
// response has the code, and the request has ended.
func (q *Requests) Continue(ctx context.Context, by identity.Actor, id string, b Browser) (Next, error) {
	a, err := q.store.Authorization(ctx, b.ref(id))
	if err != nil {
		return Next{}, fmt.Errorf("read authorization request: %w", err)
	}
	step, refusal := missing(a)
	if refusal == nil && step != Nothing && a.Request.Prompts(oauth.PromptNone) {
		refusal = silent(step)
	}
	if refusal != nil {
		q.refuse(ctx, by, a, refusal)
		if _, err := q.store.EndAuthorization(ctx, b.ref(id)); err != nil {
			return Next{}, fmt.Errorf("end authorization request: %w", err)
		}
		return q.refused(a.Request.Destination, refusal), nil
	}
	if step != Nothing {
		return Next{ID: id, Step: step}, nil
	}
	if refusal := q.tooMany(ctx, by, a); refusal != nil { // the request stays open
		return q.refused(a.Request.Destination, refusal), nil
	}
	code := newSecret()
	a, err = q.store.IssueCode(ctx, store.Act{Action: identity.ActionAuthorize, By: by}, b.ref(id), q.code(code))
	if errors.Is(err, errChanged) { // since it was read above
		return q.Continue(ctx, by, id, b)
	}
	if err != nil {
		return Next{}, fmt.Errorf("issue code: %w", err)
	}
	return q.granted(a.Request.Destination, code), nil
}

// tooMany counts a code for the client, or refuses it as RFC 6749 section 4.1.2.1 has it: a
// client that asks for codes of the user without pause.
func (q *Requests) tooMany(ctx context.Context, by identity.Actor, a store.Authorization) *oauth.Error {
	if err := q.throttle.Grant(ctx, by.AsUser(a.User.ID), a.User.ID, a.Client.ID); err != nil {
		return &oauth.Error{Code: oauth.TemporarilyUnavailable, Description: "too many sign-ins of this user; try again later", Cause: err}
	}
	return nil
}

// validate returns the valid request with all that decides about it in the browser with
// that session cookie; or the response of an invalid one, when the client and its redirect
// URI are proved.
func (q *Requests) validate(
	ctx context.Context, params url.Values, cookieHash string,
) (a store.Authorization, refused *oauth.AuthorizationResponse, err error) {
	id, err := oauth.ClientOf(params)
	if err != nil {
		return a, nil, err
	}
	a, err = q.store.Authorizing(ctx, id, cookieHash)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return a, nil, oauth.Refuse(oauth.InvalidClient, "client_id is not the id of a client")
	case err != nil:
		return a, nil, fmt.Errorf("read what decides about an authorization request: %w", err)
	case a.Client.Suspended:
		return a, nil, oauth.Refuse(oauth.InvalidClient, "the client is suspended")
	}
	d, err := oauth.DestinationOf(params, a.Client)
	if err != nil {
		return a, nil, err
	}
	a.Request, err = oauth.ParseAuthorization(params, a.Client, d, q.issuer)
	if err == nil {
		err = q.readHint(&a.Request)
	}
	if err == nil && len(a.Request.Encode()) > MaxRequest {
		err = oauth.Refuse(oauth.InvalidRequest, "the request is larger than 16 KiB")
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		response := d.Refused(q.issuer, e)
		return a, &response, nil
	}
	return a, nil, err
}

// readHint replaces id_token_hint with the user that it is about. One that cannot be
// verified, such as of a key that was revoked, is no hint.
func (q *Requests) readHint(r *oauth.AuthorizationRequest) error {
	if r.IDTokenHint == "" {
		return nil
	}
	r.HintedUser, r.IDTokenHint = q.hint(r.IDTokenHint, r.ClientID), ""
	if r.HintedUser == "" && r.Prompts(oauth.PromptNone) {
		return oauth.Refuse(oauth.LoginRequired, "id_token_hint is not an ID token of this client")
	}
	return nil
}

func (q *Requests) fresh(by identity.Actor, r oauth.AuthorizationRequest) store.NewAuthorization {
	n := store.NewAuthorization{ID: rand.Text(), Request: r, Network: by.Network, PerNetwork: MaxOfNetwork, InAll: q.maxOpen}
	if by.UnknownProxy { // the network is that of all clients
		n.PerNetwork *= 10
	}
	return n
}

// issueAtOnce issues the code of a request for which nothing is missing.
func (q *Requests) issueAtOnce(ctx context.Context, by identity.Actor, r oauth.AuthorizationRequest, sessionID string) (Next, error) {
	code := newSecret()
	act := store.Act{Action: identity.ActionAuthorize, By: by}
	n := q.fresh(by, r)
	n.ID = store.NewID() // no browser gets it, and ids in the order of time share pages of the index
	if _, err := q.store.IssueCodeAtOnce(ctx, act, n, sessionID, q.code(code)); err != nil {
		return Next{}, fmt.Errorf("issue code: %w", err)
	}
	return q.granted(r.Destination, code), nil
}

// errChanged says that what was decided about a request has changed since it was read.
var errChanged = fault.New(fault.Conflict, "authorization_changed", "the sign-in has changed; try again")

func (q *Requests) code(secret Secret) store.NewCode {
	return store.NewCode{Hash: secret.hash(), ExpiresAt: q.now().Add(CodeLifetime), Ready: func(a store.Authorization) error {
		if step, refusal := missing(a); refusal != nil || step != Nothing {
			return errChanged
		}
		return nil
	}}
}

func (q *Requests) granted(d oauth.Destination, code Secret) Next {
	response := d.Granted(q.issuer, string(code))
	return Next{Response: &response}
}

func (q *Requests) refused(d oauth.Destination, e *oauth.Error) Next {
	response := d.Refused(q.issuer, e)
	return Next{Response: &response}
}

// refuse records that a user who is signed in gets no code.
func (q *Requests) refuse(ctx context.Context, by identity.Actor, a store.Authorization, e *oauth.Error) {
	if a.SessionID == "" || e.Code != oauth.AccessDenied {
		return
	}
	act := store.Act{Action: identity.ActionAuthorize, By: by.AsUser(a.User.ID), Detail: string(e.Code)}
	q.audit.Failed(ctx, act, a.Client.ID, a.User.OrgID)
}

// Purge deletes a batch of requests that have expired; more reports that there may be
// others.
func (q *Requests) Purge(ctx context.Context, batch int) (more bool, err error) {
	n, err := q.store.PurgeAuthorizations(ctx, batch)
	if err != nil || n == batch {
		return n == batch, err
	}
	n, err = q.store.PurgeDevices(ctx, batch)
	return n == batch, err
}
