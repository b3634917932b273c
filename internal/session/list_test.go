package session_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/token"
)

func TestADeviceIsNamedAsUsersKnowIt(t *testing.T) {
	for userAgent, want := range map[string]string{
		"": "",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                   "Chrome on Pixel 8",
		"curl/8.5.0":             "curl",
		"python-requests/2.31":   "python-requests",
		strings.Repeat("x", 300): strings.Repeat("x", 59) + "…",
	} {
		if got := session.Device(userAgent); got != want {
			t.Errorf("%q: %q, want %q", userAgent, got, want)
		}
	}
}

// The client chose the text: it must neither control a terminal nor grow.
func FuzzDevice(f *testing.F) {
	for _, seed := range []string{"", "curl/8", "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126 Mobile", "\x1b[31mred/1", "\xff (", "a/1 (b; c) ["} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		got := session.Device(userAgent)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || utf8.RuneCountInString(got) > 60 {
			t.Errorf("%q: %q", userAgent, got)
		}
	})
}

// Replicas read the database at each request, so what one of them ended, the others
// refuse at their next request.
func TestAnEndedSessionIsRefusedByEveryReplica(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		keys := func(c *testrig.Config) { c.Keys.Dir = dir }
		here, there := testrig.New(t, url, keys), testrig.New(t, url, keys)
		u, proof := user(t, here, "ada@pico.example")
		for name, end := range map[string]func(id string) error{
			"one": func(id string) error { return here.Sessions.EndOne(t.Context(), system, u.ID, id) },
			"all": func(string) error { _, err := here.Sessions.EndAll(t.Context(), system, u.ID); return err },
		} {
			pair, err := here.Sessions.Start(t.Context(), web, proof)
			if err != nil {
				t.Fatal(err)
			}
			page, err := there.Sessions.List(t.Context(), system, u.ID, session.Filter{})
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("%s: %+v, %v", name, page, err)
			}
			presented := token.Presented{UserID: u.ID, SessionID: page.Items[0].ID}
			if _, err := there.Tokens.Bearer(t.Context(), presented); err != nil {
				t.Fatal(err)
			}
			if err := end(page.Items[0].ID); err != nil {
				t.Fatal(err)
			}
			if _, err := there.Tokens.Bearer(t.Context(), presented); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%s: an access token is accepted: %v", name, err)
			}
			if _, err := there.Tokens.Rotate(t.Context(), web, pair.RefreshToken); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%s: a refresh token is accepted: %v", name, err)
			}
		}
	})
}

func TestSessionsOfAnIDThatNoRowCanHaveAreNotFound(t *testing.T) {
	r := testrig.Open(t)
	u, _ := user(t, r, "ada@pico.example")
	_, listing := r.Sessions.List(t.Context(), system, "\x00", session.Filter{})
	_, unknown := r.Sessions.List(t.Context(), system, "unknown", session.Filter{})
	for name, err := range map[string]error{
		"list": listing, "list unknown": unknown,
		"end all": func() error { _, err := r.Sessions.EndAll(t.Context(), system, "\x00"); return err }(),
		"end one": r.Sessions.EndOne(t.Context(), system, u.ID, "\x00"),
		"end of":  r.Sessions.EndOne(t.Context(), system, "\x00", "s"),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Sessions.List(t.Context(), system, u.ID, session.Filter{Limit: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a negative limit: %v", err)
	}
}

func TestARefusedActorIsInTheAuditLog(t *testing.T) {
	r := testrig.Open(t)
	u, _ := user(t, r, "ada@pico.example")
	other, _ := user(t, r, "bob@pico.example")
	by := identity.Actor{Kind: identity.ActorUser, ID: other.ID}
	if _, err := r.Sessions.EndAll(t.Context(), by, u.ID); fault.KindOf(err) != fault.Forbidden {
		t.Errorf("error is %v", err)
	}
	r.Audit.Flush()
	if log := r.Log.String(); !strings.Contains(log, "session.end_all") || !strings.Contains(log, "refused") {
		t.Errorf("the log is %s", log)
	}
}
