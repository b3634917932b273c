package authorize

import (
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/store"
)

// signedIn is a request of a client that asks for consent, whose user is signed in and has
// allowed everything.
func signedIn(change ...func(*store.Authorization)) store.Authorization {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	a := store.Authorization{
		ID: "r", CreatedAt: at, SessionID: "s", AuthTime: at.Add(-time.Hour), ACR: identity.ACROneFactor, Granted: "openid email",
		User:   identity.User{ID: "u", Role: identity.Viewer, OrgID: "default", Status: identity.Active, OrgStatus: identity.Active},
		Groups: []string{"g1"},
		Client: oauth.Client{ID: "app", Consent: true},
		Request: oauth.AuthorizationRequest{
			Destination: oauth.Destination{ClientID: "app", RedirectURI: "https://app.example/cb"}, Scope: "openid email",
		},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

func prompt(values ...string) func(*store.Authorization) {
	return func(a *store.Authorization) { a.Request.Prompt = values }
}

func decided(d store.Decisions) func(*store.Authorization) {
	return func(a *store.Authorization) {
		if d.SessionID == "" {
			d.SessionID = a.SessionID
		}
		a.Decided = d
	}
}

func scope(text string) func(*store.Authorization) {
	return func(a *store.Authorization) { a.Request.Scope = text }
}

func redirect(uri string) func(*store.Authorization) {
	return func(a *store.Authorization) { a.Request.RedirectURI = uri }
}

func maxAge(seconds int64) func(*store.Authorization) {
	return func(a *store.Authorization) { a.Request.MaxAge = &seconds }
}

func firstParty(a *store.Authorization) { a.Client.FirstParty = true }

func noSession(a *store.Authorization) {
	a.SessionID, a.User, a.Granted, a.AuthTime = "", identity.User{}, "", time.Time{}
}

func claims(text string) func(*store.Authorization) {
	return func(a *store.Authorization) {
		c, err := oauth.ParseClaims(text)
		if err != nil {
			panic(err)
		}
		a.Request.Claims = c
	}
}

type changes = []func(*store.Authorization)

func TestWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		changes changes
		want    Step
	}{
		"nothing":            {nil, Nothing},
		"a session":          {changes{noSession}, SignIn},
		"another session":    {changes{noSession, decided(store.Decisions{SessionID: "s", SignedIn: true, Consented: "openid email"})}, SignIn},
		"prompt=login":       {changes{prompt("login")}, SignIn},
		"prompt=login, done": {changes{prompt("login"), decided(store.Decisions{SignedIn: true})}, Nothing},
		"prompt=login, done in another session": {
			changes{prompt("login"), decided(store.Decisions{SessionID: "other", SignedIn: true})}, SignIn,
		},
		"max_age, met":             {changes{maxAge(3600)}, Nothing},
		"max_age, too long ago":    {changes{maxAge(3599)}, SignIn},
		"max_age, signed in again": {changes{maxAge(1), decided(store.Decisions{SignedIn: true})}, Nothing},
		"max_age=0, just now":      {changes{maxAge(0), func(a *store.Authorization) { a.AuthTime = a.CreatedAt.Add(time.Second) }}, SignIn},
		"prompt=create":            {changes{prompt("create")}, Register},
		"prompt=create, no user":   {changes{prompt("create"), noSession}, Register},
		"prompt=create, done":      {changes{prompt("create"), decided(store.Decisions{SignedIn: true})}, Nothing},
		"prompt=select_account":    {changes{prompt("select_account")}, ChooseAccount},
		"the account, chosen":      {changes{prompt("select_account"), decided(store.Decisions{Chosen: true})}, Nothing},
		"the account, by sign-in":  {changes{prompt("select_account"), decided(store.Decisions{SignedIn: true})}, Nothing},
		"another account":          {changes{decided(store.Decisions{Another: true})}, SignIn},
		"the hinted user":          {changes{func(a *store.Authorization) { a.Request.HintedUser = "other" }}, SignIn},
		"the hinted user, present": {changes{func(a *store.Authorization) { a.Request.HintedUser = "u" }}, Nothing},
		"the requested sub":        {changes{claims(`{"id_token": {"sub": {"value": "other"}}}`)}, SignIn},
		"the requested sub, there": {changes{claims(`{"id_token": {"sub": {"values": ["other", "u"]}}}`)}, Nothing},
		"an essential acr, met":    {changes{claims(`{"id_token": {"acr": {"essential": true, "value": "urn:pico-auth:acr:1"}}}`)}, Nothing},
		"a voluntary acr":          {changes{claims(`{"id_token": {"acr": {"values": ["phr"]}}}`)}, Nothing},
		"acr_values":               {changes{func(a *store.Authorization) { a.Request.ACRValues = []string{"phr"} }}, Nothing},
		"an allowed group":         {changes{func(a *store.Authorization) { a.Client.AllowedGroups = []string{"g2"} }}, NotAllowed},
		"an allowed group, there":  {changes{func(a *store.Authorization) { a.Client.AllowedGroups = []string{"g2", "g1"} }}, Nothing},
		"an allowed role":          {changes{func(a *store.Authorization) { a.Client.AllowedRoles = []string{"operator"} }}, NotAllowed},
		"the organization":         {changes{func(a *store.Authorization) { a.Client.OrgID = "other" }}, NotAllowed},

		"consent":                  {changes{scope("openid email api:read")}, Consent},
		"consent, given now":       {changes{scope("openid email api:read"), decided(store.Decisions{Consented: "openid email api:read"})}, Nothing},
		"consent, given elsewhere": {changes{scope("openid api:read"), decided(store.Decisions{SessionID: "x", Consented: "openid api:read"})}, Consent},
		"consent, not asked for":   {changes{scope("openid api:read"), func(a *store.Authorization) { a.Client.Consent = false }}, Nothing},
		"consent, first party":     {changes{scope("openid api:read"), firstParty}, Nothing},
		"consent to a claim": {
			changes{claims(`{"userinfo": {"phone_number": null}}`), func(a *store.Authorization) { a.Client.Scopes = []string{"openid", "phone"} }}, Consent,
		},
		"consent to a claim, given": {
			changes{claims(`{"id_token": {"email": null}, "userinfo": {"phone_number": null}}`), func(a *store.Authorization) {
				a.Client.Scopes, a.Granted = []string{"openid", "email", "phone"}, "openid email phone"
			}}, Nothing,
		},
		"a claim without its scope":   {changes{claims(`{"userinfo": {"phone_number": null, "other": null, "sub": null}}`)}, Nothing},
		"prompt=consent":              {changes{prompt("consent")}, Consent},
		"prompt=consent, first party": {changes{prompt("consent"), firstParty}, Consent},
	} {
		if got, refusal := missing(signedIn(c.changes...)); got != c.want || refusal != nil {
			t.Errorf("%s: %s, %v, want %s", name, got, refusal, c.want)
		}
	}
}

func TestConsentIsNeverSkippedForWhatGrantsLongOrBroadAccess(t *testing.T) {
	for _, more := range []string{"offline_access", "account", "admin"} {
		wanted := "openid " + more
		granted := func(a *store.Authorization) { a.Granted, a.Client.Consent = wanted, false }
		for name, c := range map[string]struct {
			changes changes
			want    Step
		}{
			"remembered":  {changes{scope(wanted), granted}, Consent},
			"given now":   {changes{scope(wanted), granted, decided(store.Decisions{Consented: wanted})}, Nothing},
			"first party": {changes{scope(wanted), firstParty}, Nothing},
		} {
			if got, _ := missing(signedIn(c.changes...)); got != c.want {
				t.Errorf("%s, %s: %s, want %s", more, name, got, c.want)
			}
		}
	}
}

// RFC 8252 section 8.6: any program of the device may have sent the request.
func TestRFC8252Section8_6AUserConfirmsAnAppOfTheDevice(t *testing.T) {
	for _, uri := range []string{"http://127.0.0.1:1234/cb", "http://[::1]/cb", "http://localhost:3000/cb", "com.example.app:/cb"} {
		for name, c := range map[string]struct {
			changes changes
			want    Step
		}{
			"signed in before":       {nil, ContinueAs},
			"first party":            {changes{firstParty}, ContinueAs},
			"continued":              {changes{decided(store.Decisions{Chosen: true})}, Nothing},
			"in another session":     {changes{decided(store.Decisions{SessionID: "x", Chosen: true})}, ContinueAs},
			"signed in for this":     {changes{decided(store.Decisions{SignedIn: true})}, Nothing},
			"allowed for this":       {changes{scope("openid x"), decided(store.Decisions{Consented: "openid x"})}, Nothing},
			"more than was allowed":  {changes{scope("openid x")}, Consent},
			"prompt=none, signed in": {changes{prompt("none")}, ContinueAs},
		} {
			if got, _ := missing(signedIn(append(changes{redirect(uri)}, c.changes...)...)); got != c.want {
				t.Errorf("%s, %s: %s, want %s", uri, name, got, c.want)
			}
		}
	}
}

// OpenID Connect Core 3.1.2.6.
func TestCoreSection3_1_2_6WhatPromptNoneIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		changes changes
		want    oauth.Code
	}{
		"not signed in":    {changes{noSession}, oauth.LoginRequired},
		"too long ago":     {changes{maxAge(1)}, oauth.LoginRequired},
		"another user":     {changes{func(a *store.Authorization) { a.Request.HintedUser = "x" }}, oauth.LoginRequired},
		"consent":          {changes{scope("openid x")}, oauth.ConsentRequired},
		"offline_access":   {changes{scope("openid offline_access")}, oauth.ConsentRequired},
		"an app":           {changes{redirect("com.example.app:/cb")}, oauth.InteractionRequired},
		"a forbidden user": {changes{func(a *store.Authorization) { a.Client.OrgID = "x" }}, oauth.AccessDenied},
	} {
		step, refusal := missing(signedIn(append(changes{prompt("none")}, c.changes...)...))
		if refusal != nil || step == Nothing || silent(step).Code != c.want {
			t.Errorf("%s: %s, %v, want %s", name, step, refusal, c.want)
		}
	}
	if e := silent(ChooseAccount); e.Code != oauth.AccountSelectionRequired {
		t.Errorf("an account: %s", e.Code)
	}
}

func TestWhatCannotBeMetIsARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		changes changes
		want    oauth.Code
	}{
		"an essential acr":   {changes{claims(`{"id_token": {"acr": {"essential": true, "values": ["phr"]}}}`)}, oauth.UnmetAuthentication},
		"an acr of no value": {changes{claims(`{"id_token": {"acr": {"essential": true, "value": 1}}}`)}, oauth.UnmetAuthentication},
		"another user signed in": {
			changes{decided(store.Decisions{SignedIn: true}), func(a *store.Authorization) { a.Request.HintedUser = "x" }}, oauth.LoginRequired,
		},
		"a suspended client": {changes{func(a *store.Authorization) { a.Client.Suspended = true }}, oauth.UnauthorizedClient},
	} {
		if _, refusal := missing(signedIn(c.changes...)); refusal == nil || refusal.Code != c.want {
			t.Errorf("%s: %v, want %s", name, refusal, c.want)
		}
	}
}
