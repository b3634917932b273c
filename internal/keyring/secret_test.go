package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store/storetest"
)

// printed is everything that a careless line can make of a value.
func printed(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	text, err := json.Marshal(v)
	fmt.Fprintln(&b, string(text), err)
	return b.String()
}

// pieces are the forms in which a part of a secret could be seen.
func pieces(secret []byte) []string {
	part := secret[len(secret)/2 : len(secret)/2+12]
	list := strings.Trim(fmt.Sprintf("%d", part), "[]")
	return []string{
		string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), list, strings.ReplaceAll(list, " ", ", "),
		base64.StdEncoding.EncodeToString(part), base64.RawURLEncoding.EncodeToString(part[:9]),
	}
}

func TestNothingThatHoldsAKeyPrintsIt(t *testing.T) {
	for _, algorithm := range jose.Algorithms() {
		cfg := keyring.Config{Dir: noFolder(t), Algorithm: algorithm, Store: storetest.Open(t), Master: master(t, 'k'), AtRest: keyring.Sealed}
		ring := open(t, cfg)
		d := admin(t, cfg)
		exported, err := d.Export(t.Context(), operator, ring.Active().KID)
		must(t, err)
		for name, v := range map[string]any{
			"the exported key": exported, "its pointer": &exported,
			"the configuration": cfg, "the keys": ring.Published().Keys(),
		} {
			text := printed(v)
			for _, piece := range append(pieces(exported), strings.Repeat("k", 8), strings.Repeat("107 ", 4)) {
				if strings.Contains(text, piece) {
					t.Errorf("%s: %s prints %q", algorithm, name, piece)
				}
			}
		}
	}
}

// What a key set may say of a key, RFC 7517 and 7518, 8037 and 9964. Everything
// else must not be published.
func TestTheKeySetHasPublicMembersOnly(t *testing.T) {
	allowed := map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}, "AKP": {"pub"}}
	for _, algorithm := range jose.Algorithms() {
		cfg := keyring.Config{Dir: t.TempDir(), Algorithm: algorithm, Store: storetest.Open(t)}
		open(t, cfg)
		rotate(t, cfg, true)
		rotate(t, cfg, false)
		body := open(t, cfg).Published().JWKS()
		var set map[string][]map[string]string
		must(t, json.Unmarshal(body, &set))
		if len(set) != 1 || len(set["keys"]) != 3 {
			t.Fatalf("%s: %d members, %d keys", algorithm, len(set), len(set["keys"]))
		}
		for _, key := range set["keys"] {
			members := append([]string{"kty", "kid", "use", "alg"}, allowed[key["kty"]]...)
			for member := range key {
				if !slices.Contains(members, member) {
					t.Errorf("%s: a %s key has %s", algorithm, key["kty"], member)
				}
			}
			if len(key) != len(members) || key["alg"] != string(algorithm) || key["use"] != "sig" {
				t.Errorf("%s: %v", algorithm, key)
			}
		}
	}
}

// Clients that take the first key take the one that signs.
func TestTheKeySetHasOneOrder(t *testing.T) {
	cfg := keyring.Config{Dir: t.TempDir(), Algorithm: jose.EdDSA, Store: storetest.Open(t)}
	oldest := open(t, cfg).Active().KID
	former := rotate(t, cfg, true)
	active := rotate(t, cfg, true)
	next := rotate(t, cfg, false)
	var bodies []string
	for range 3 {
		ring := open(t, cfg)
		bodies = append(bodies, string(ring.Published().JWKS()))
		var kids []string
		for _, k := range ring.Published().Keys() {
			kids = append(kids, k.KID)
		}
		if want := []string{active, next, former, oldest}; !slices.Equal(kids, want) {
			t.Errorf("%v, want %v", kids, want)
		}
	}
	if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
		t.Error("a restart changes the set")
	}
	withdraw(t, cfg, next)
	if string(open(t, cfg).Published().JWKS()) == bodies[0] {
		t.Error("the withdrawn key is still in the set")
	}
}

func TestAKPKeysAreInTheSetOnlyWhileTheySignForTheAPI(t *testing.T) {
	c := newClockwork()
	cfg := c.config(storetest.Open(t, storetest.WithClock(c.wall)), t.TempDir())
	ring := open(t, cfg)
	has := func() bool {
		body := ring.Published().JWKS()
		return bytes.Contains(body, []byte("AKP"))
	}
	for i, step := range []struct {
		algorithm jose.Algorithm
		pass      []int // minutes
		want      bool
	}{
		{jose.MLDSA44, nil, true},              // next
		{jose.MLDSA44, []int{0, 5}, true},      // active
		{jose.EdDSA, nil, true},                // active, the other is next
		{jose.EdDSA, []int{0, 5}, true},        // retiring
		{jose.EdDSA, []int{6, 6, 6, 6}, false}, // removed; one more than it takes, should a slow machine lose a lease
	} {
		cfg.Algorithm = step.algorithm
		open(t, cfg)
		for _, minutes := range append(step.pass, 0) {
			c.tick(t, minuteCount(minutes), ring)
		}
		if has() != step.want {
			t.Errorf("step %d: %v", i, has())
		}
	}
}

// A client that keeps the set as long as it may, and got it from the last server to
// publish a new key, has that key before it signs.
func TestTheSetMayBeKeptForLessThanAKeyIsPublishedAhead(t *testing.T) {
	if keyring.DefaultPublishAhead != time.Hour || keyring.MaxAge(keyring.DefaultPublishAhead) != 5*time.Minute {
		t.Errorf("by default %v ahead, kept for %v", keyring.DefaultPublishAhead, keyring.MaxAge(keyring.DefaultPublishAhead))
	}
	for ahead, want := range map[int]int{1: 0, 2: 1, 3: 1, 10: 5, 60: 55, 300: 295, 305: 300, 3600: 300, 86400: 300} {
		if got := keyring.MaxAge(secondCount(ahead)); got != secondCount(want) {
			t.Errorf("%d seconds ahead, kept for %v, want %d seconds", ahead, got, want)
		}
	}
}
