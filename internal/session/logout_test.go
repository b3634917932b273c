package session_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/oauth"
	"github.com/pico-auth/pico-auth/internal/outbound"
	"github.com/pico-auth/pico-auth/internal/session"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/testrig"
	"github.com/pico-auth/pico-auth/internal/trace"
)

// receiver is a client's back-channel logout endpoint, over real HTTP.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	tokens []string
	header http.Header // of the last one
	answer func() int  // the status; nil: 200
	now    int         // requests in progress
	most   int         // at once
}

func receive(t *testing.T, answer func() int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	if req.Method == http.MethodPost && req.URL.RawQuery == "" {
		r.tokens = append(r.tokens, req.PostFormValue("logout_token"))
		r.header = req.Header
	}
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	status := http.StatusOK
	if r.answer != nil {
		status = r.answer()
	}
	r.mu.Lock()
	r.now--
	r.mu.Unlock()
	w.WriteHeader(status)
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tokens)
}

// sent is a header of the last request.
func (r *receiver) sent(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header.Get(name)
}

func (r *receiver) atOnce() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// withRS256 gives the rig a key of the algorithm that clients have by default.
func withRS256(c *testrig.Config) { c.Keys.Algorithms = []jose.Algorithm{jose.RS256} }

func logouts(t *testing.T, r *testrig.Rig) *session.Logouts {
	t.Helper()
	l := session.NewLogouts(session.LogoutConfig{
		Store: r.Store, Tokens: r.Tokens, Outbound: outbound.New(outbound.Config{Loopback: true}), Now: r.Clock.Now,
	})
	t.Cleanup(l.Close)
	return l
}

// told registers a client with that logout endpoint.
func told(t *testing.T, r *testrig.Rig, uri string, more oauth.Settings) oauth.Client {
	t.Helper()
	s := oauth.Settings{
		"name": "App", "kind": "web", "redirect_uris": []string{"https://app.example/cb"}, "backchannel_logout_uri": uri,
		"grant_types": []string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantDevice},
	}
	maps.Copy(s, more)
	c, _, err := r.Clients.Create(t.Context(), system, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// use gives the client a family of the session.
func use(t *testing.T, r *testrig.Rig, b session.Browser, c oauth.Client) {
	t.Helper()
	by := identity.Actor{}.AsUser(b.User.ID)
	by.SessionID = b.Session.ID
	code := oauth.NewUserCode([8]uint32{1, 2, 3, 4, 5, 6, 7, uint32(len(r.Log.String()))})
	ctx, now := t.Context(), r.Clock.Now()
	if _, err := r.Store.InsertDevice(ctx, store.Device{UserCode: code, ClientID: c.ID, Scope: "openid", ExpiresAt: now.Add(time.Minute)}, c.ID+b.Session.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Store.DecideDevice(ctx, store.Act{Action: "device.decide", By: by}, code, true); err != nil {
		t.Fatal(err)
	}
	next := store.NewRefresh{Hash: c.ID + b.Session.ID, ExpiresAt: now.Add(time.Hour), AccessJTI: c.ID + b.Session.ID, AccessExpiresAt: now.Add(time.Minute)}
	family := store.NewFamily{ClientID: c.ID, Granted: store.Granted{Scope: "openid"}, First: next}
	if _, err := r.Store.RedeemDevice(ctx, by, c.ID+b.Session.ID, family); err != nil {
		t.Fatal(err)
	}
}

// signOut ends a session in which the clients have families.
func signOut(t *testing.T, r *testrig.Rig, clients ...oauth.Client) session.Browser {
	t.Helper()
	email := fmt.Sprintf("u%d@pico.example", r.Clock.Now().UnixNano())
	r.Clock.Advance(time.Millisecond)
	_, proof := user(t, r, email)
	cookie, b := start(t, r, proof, "", false)
	for _, c := range clients {
		use(t, r, b, c)
	}
	if _, err := r.Sessions.EndBrowser(t.Context(), web, cookie); err != nil {
		t.Fatal(err)
	}
	return b
}

// step makes the deliveries that are due, and waits until it is done.
func step(t *testing.T, l *session.Logouts, done func() bool) {
	t.Helper()
	eventually(t, func() bool { // a delivery whose host has no place yet waits for another step
		if _, err := l.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		return done()
	})
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute { // a busy machine takes its time
			t.Fatal("it does not happen")
		}
	}
}

// read verifies a logout token with the published keys and returns its header and claims.
func read(t *testing.T, r *testrig.Rig, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if _, _, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return r.Keys.Published().Key(h.KeyID), nil }); err == nil {
		t.Error("it is accepted as an access token or ID token")
	}
	head, payload, err := jose.Inspect(token)
	if err != nil || json.Unmarshal(head, &header) != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatalf("%v: %s", err, token)
	}
	if key := r.Keys.Published().Key(fmt.Sprint(header["kid"])); key == nil || !verifies(t, key, parts) {
		t.Error("the signature is not valid")
	}
	return header, claims
}

// verifies reports whether the signature is one of the key, RSA or Ed25519, by the
// standard library.
func verifies(t *testing.T, key *jose.PublicKey, parts []string) bool {
	t.Helper()
	encoded, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	signed := []byte(parts[0] + "." + parts[1])
	if k, ok := public.(*rsa.PublicKey); ok {
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	}
	return ed25519.Verify(public.(ed25519.PublicKey), signed, signature)
}

// OpenID Connect Back-Channel Logout 1.0, section 2.4.
func TestBackChannelLogoutSection24TheToken(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		for _, algorithm := range []string{"", "EdDSA"} {
			rec := receive(t, nil)
			settings := oauth.Settings{}
			if algorithm != "" {
				settings["id_token_signed_response_alg"] = algorithm
			}
			c := told(t, r, rec.URL, settings)
			b := signOut(t, r, c)
			l := logouts(t, r)
			step(t, l, func() bool { return l.Stats().Delivered == 1 })
			header, claims := read(t, r, rec.got()[0])
			want := map[bool]string{true: "RS256", false: "EdDSA"}[algorithm == ""]
			if header["typ"] != "logout+jwt" || header["alg"] != want {
				t.Errorf("header %v", header)
			}
			now := float64(r.Clock.Now().Unix())
			if claims["iss"] != testrig.Issuer || claims["aud"] != c.ID || claims["sub"] != b.User.ID || claims["sid"] != b.Session.ID ||
				claims["iat"] != now || claims["exp"] != now+120 || claims["jti"] == "" {
				t.Errorf("claims %v", claims)
			}
			events, _ := claims["events"].(map[string]any)
			if event, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); !ok || len(event) != 0 || len(events) != 1 {
				t.Errorf("events %v", claims["events"])
			}
			if _, there := claims["nonce"]; there { // it must not be taken for an ID token
				t.Error("there is a nonce")
			}
		}
	}, withRS256)
}

func TestADeliveryIsRepeatedWithANewTokenUntilItIsDead(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		rec := receive(t, func() int { return http.StatusServiceUnavailable })
		c := told(t, r, rec.URL, nil)
		signOut(t, r, c)
		l := logouts(t, r)
		waits := []time.Duration{0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}
		ids := map[any]bool{}
		for i, wait := range waits {
			if wait > 0 {
				r.Clock.Advance(wait - time.Second)
				if _, err := l.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Millisecond)
				if n := len(rec.got()); n != i {
					t.Fatalf("attempt %d came too early", n)
				}
				r.Clock.Advance(time.Second)
			}
			step(t, l, func() bool { return l.Stats().Failed == uint64(i+1) })
			_, claims := read(t, r, rec.got()[i])
			ids[claims["jti"]] = true
			if claims["exp"].(float64) != float64(r.Clock.Now().Unix()+120) {
				t.Errorf("attempt %d expires at %v", i+1, claims["exp"])
			}
		}
		if len(ids) != len(waits) {
			t.Errorf("%d different jti in %d attempts", len(ids), len(waits))
		}
		r.Clock.Advance(24 * time.Hour)
		step(t, l, func() bool { return l.Stats().Dead == 1 })
		got, err := r.Store.Logouts(t.Context(), c.ID)
		if err != nil || got.GivenUp != 1 || got.Waiting != 0 || len(rec.got()) != len(waits) || l.Stats().Dead != 1 {
			t.Errorf("%+v, %v, %d attempts, %+v", got, err, len(rec.got()), l.Stats())
		}
	}, withRS256)
}

func TestWhichStatusMeansWhat(t *testing.T) {
	for status, want := range map[int]store.ClientLogouts{
		http.StatusOK: {}, http.StatusNoContent: {},
		http.StatusBadRequest:          {GivenUp: 1, Problem: "status 400"},
		http.StatusFound:               {Waiting: 1, Problem: "status 302"},
		http.StatusNotFound:            {Waiting: 1, Problem: "status 404"},
		http.StatusInternalServerError: {Waiting: 1, Problem: "status 500"},
	} {
		r := testrig.Open(t, withRS256)
		c := told(t, r, receive(t, func() int { return status }).URL, nil)
		signOut(t, r, c)
		l := logouts(t, r)
		step(t, l, func() bool { s := l.Stats(); return s.Delivered+s.Failed == 1 })
		l.Close()
		got, err := r.Store.Logouts(t.Context(), c.ID)
		if got.ClientID, got.Since = "", (time.Time{}); err != nil || got != want {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}

func TestASlowClientDelaysOnlyItself(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		release := make(chan struct{})
		slow := receive(t, func() int { <-release; return http.StatusOK })
		defer close(release)
		fast := receive(t, nil)
		s, f := told(t, r, slow.URL, nil), told(t, r, fast.URL, nil)
		for range 8 {
			signOut(t, r, s, f)
		}
		l := logouts(t, r)
		begin := time.Now()
		for len(fast.got()) < 8 || slow.atOnce() < 4 {
			if _, err := l.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("%d of 8 were delivered, %d wait at the slow host", len(fast.got()), slow.atOnce())
			}
			time.Sleep(20 * time.Millisecond)
		}
		if n := slow.atOnce(); n != 4 {
			t.Errorf("%d requests to the slow host at once", n)
		}
	}, withRS256)
}

// Trace Context 3: the trace of a request goes on to the requests that it causes.
func TestALogoutIsDeliveredInTheTraceOfTheRequest(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		to := receive(t, nil)
		c := told(t, r, to.URL, nil)
		_, proof := user(t, r, "ada@pico.example")
		cookie, b := start(t, r, proof, "", false)
		use(t, r, b, c)
		const parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "rojo=00f067aa0ba902b7"
		ctx := trace.With(t.Context(), trace.Context{Parent: parent, State: state})
		if _, err := r.Sessions.EndBrowser(ctx, web, cookie); err != nil {
			t.Fatal(err)
		}
		l := logouts(t, r)
		step(t, l, func() bool { return l.Stats().Delivered == 1 })
		if got, gotState := to.sent("Traceparent"), to.sent("Tracestate"); got != parent || gotState != state {
			t.Errorf("traceparent %q, tracestate %q", got, gotState)
		}
		signOut(t, r, c)
		step(t, l, func() bool { return l.Stats().Delivered == 2 })
		if got := to.sent("Traceparent"); got != "" {
			t.Errorf("a request without a trace: %q", got)
		}
	}, withRS256)
}

func TestReplicasDeliverOnce(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		rec := receive(t, nil)
		c := told(t, r, rec.URL, nil)
		for range 6 {
			signOut(t, r, c)
		}
		replicas := []*session.Logouts{logouts(t, r), logouts(t, r), logouts(t, r)}
		eventually(t, func() bool {
			for _, l := range replicas {
				if _, err := l.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got, err := r.Store.Logouts(t.Context(), c.ID)
			return err == nil && got.Waiting == 0
		})
		sessions := map[any]bool{}
		for _, token := range rec.got() {
			_, claims := read(t, r, token)
			sessions[claims["sid"]] = true
		}
		if len(sessions) != 6 || len(rec.got()) != 6 {
			t.Errorf("%d sessions in %d tokens", len(sessions), len(rec.got()))
		}
	}, withRS256)
}

func TestAnAddressThatIsNotPublicIsNotReached(t *testing.T) {
	r := testrig.Open(t, withRS256)
	c := told(t, r, "https://127.0.0.1:1/logout", nil)
	signOut(t, r, c)
	l := session.NewLogouts(session.LogoutConfig{Store: r.Store, Tokens: r.Tokens, Outbound: outbound.New(outbound.Config{}), Now: r.Clock.Now})
	defer l.Close()
	step(t, l, func() bool { got, err := r.Store.Logouts(t.Context(), c.ID); return err == nil && got.Problem != "" })
	if got, err := r.Store.Logouts(t.Context(), c.ID); err != nil || !strings.Contains(got.Problem, "outbound.allow") {
		t.Errorf("%+v, %v", got, err)
	}
}

// OpenID Connect Front-Channel Logout 1.0, section 2.
func TestFrontChannelLogoutSection2TheAddresses(t *testing.T) {
	testrig.Each(t, func(t *testing.T, r *testrig.Rig) {
		c := told(t, r, "https://app.example/back", oauth.Settings{"frontchannel_logout_uri": "https://app.example/front?a=b"})
		other := told(t, r, "https://app.example/back", nil)
		_, proof := user(t, r, "ada@pico.example")
		cookie, b := start(t, r, proof, "", false)
		use(t, r, b, c)
		r.Clock.Advance(time.Second)
		use(t, r, b, other)
		frames, err := r.Sessions.EndBrowser(t.Context(), web, cookie)
		want := "https://app.example/front?a=b&iss=https%3A%2F%2Fauth.example&sid=" + b.Session.ID
		if err != nil || len(frames) != 1 || frames[0] != want {
			t.Errorf("%q, %v, want %q", frames, err, want)
		}
		if frames, err := r.Sessions.EndBrowser(t.Context(), web, cookie); err != nil || len(frames) != 0 {
			t.Errorf("again: %q, %v", frames, err)
		}
	})
}
