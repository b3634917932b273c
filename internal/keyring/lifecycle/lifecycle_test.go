package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/store"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func policy(further ...jose.Algorithm) lifecycle.Policy {
	return lifecycle.Policy{
		Default: jose.RS256, Further: further, PublishAhead: time.Hour, RotateEvery: 90 * 24 * time.Hour,
		TokenLifetime: 15 * time.Minute,
	}
}

// key is one of the API, active since noon; its KID says the rest.
func key(kid, algorithm string, status store.KeyStatus) store.SigningKey {
	return store.SigningKey{KID: kid, Algorithm: algorithm, Status: status, API: true, CreatedAt: noon, ActivatedAt: noon, RetiredAt: noon}
}

// forClients is a key that clients ask for.
func forClients(k store.SigningKey) store.SigningKey {
	k.API = false
	return k
}

func counted(k store.SigningKey, d time.Duration) store.SigningKey {
	k.Counted = d
	return k
}

// text is changes such as "+ES256 pending, rs retiring"; a star is for clients.
func text(changes []store.KeyChange) string {
	var all []string
	for _, c := range changes {
		name, star := c.KID, ""
		if name == "" {
			name = "+" + c.Algorithm
		}
		if !c.API {
			star = "*"
		}
		all = append(all, fmt.Sprintf("%s%s %s", name, star, c.Status))
	}
	return strings.Join(all, ", ")
}

func TestWhatAStartChanges(t *testing.T) {
	rs, es, pq := key("rs", "RS256", store.KeyActive), key("es", "ES256", store.KeyActive), key("pq", "ML-DSA-65", store.KeyActive)
	for name, c := range map[string]struct {
		further []jose.Algorithm
		keys    []store.SigningKey
		want    string
	}{
		"all is as configured":             {nil, []store.SigningKey{rs}, ""},
		"another default":                  {nil, []store.SigningKey{es}, "+RS256 pending"},
		"begun already":                    {nil, []store.SigningKey{es, key("new", "RS256", store.KeyPending)}, ""},
		"one that leads elsewhere":         {nil, []store.SigningKey{rs, key("new", "ES256", store.KeyPending)}, "new removed"},
		"elsewhere and another default":    {nil, []store.SigningKey{es, key("new", "EdDSA", store.KeyPending)}, "new removed, +RS256 pending"},
		"a further one":                    {[]jose.Algorithm{jose.ES256}, []store.SigningKey{rs}, "+ES256* pending"},
		"the default among them":           {[]jose.Algorithm{jose.RS256}, []store.SigningKey{rs}, ""},
		"a further one is there":           {[]jose.Algorithm{jose.ES256}, []store.SigningKey{rs, forClients(es)}, ""},
		"not configured any more":          {nil, []store.SigningKey{rs, forClients(es)}, "es* retiring"},
		"pending, not configured any more": {nil, []store.SigningKey{rs, forClients(key("new", "ES256", store.KeyPending))}, "new* removed"},
		"the default was for clients":      {nil, []store.SigningKey{es, forClients(rs)}, "+RS256 pending"},
		"the former default is for clients": {
			[]jose.Algorithm{jose.ES256}, []store.SigningKey{es}, "+RS256 pending",
		},
		"the former default has to leave the main key set": {
			[]jose.Algorithm{jose.MLDSA65}, []store.SigningKey{pq}, "+RS256 pending, +ML-DSA-65* pending",
		},
		"a retiring key is let be": {nil, []store.SigningKey{rs, key("old", "EdDSA", store.KeyRetiring)}, ""},
	} {
		if got := text(policy(c.further...).Start(store.KeySet{Keys: c.keys}, noon)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatIsDue(t *testing.T) {
	rs, es := key("rs", "RS256", store.KeyActive), key("es", "ES256", store.KeyActive)
	pending := func(kid, algorithm string, d time.Duration) store.SigningKey {
		return counted(key(kid, algorithm, store.KeyPending), d)
	}
	retiring := func(kid string, d time.Duration) store.SigningKey {
		return counted(key(kid, "RS256", store.KeyRetiring), d)
	}
	const kept = 16*time.Minute + 5*time.Second
	for name, c := range map[string]struct {
		further []jose.Algorithm
		keys    []store.SigningKey
		after   time.Duration // noon
		want    string
	}{
		"nothing":                    {nil, []store.SigningKey{rs}, time.Hour, ""},
		"published a second less":    {nil, []store.SigningKey{rs, pending("new", "RS256", time.Hour-time.Second)}, 48 * time.Hour, ""},
		"published long enough":      {nil, []store.SigningKey{rs, pending("new", "RS256", time.Hour)}, 0, "rs retiring, new active"},
		"of another algorithm":       {nil, []store.SigningKey{es, pending("new", "RS256", time.Hour)}, 0, "es retiring, new active"},
		"of the former default, too": {[]jose.Algorithm{jose.ES256}, []store.SigningKey{es, pending("new", "RS256", time.Hour)}, 0, "es* active, new active"},
		"by a replica with an older configuration": {
			nil, []store.SigningKey{rs, pending("new", "ES256", time.Hour)}, 0, "rs retiring, new active",
		},
		"for clients": {
			[]jose.Algorithm{jose.ES256}, []store.SigningKey{rs, forClients(es), forClients(pending("new", "ES256", time.Hour))}, 0, "es* retiring, new* active",
		},
		"for clients, while the API has it": {
			[]jose.Algorithm{jose.ES256}, []store.SigningKey{es, forClients(pending("new", "ES256", time.Hour))}, 0, "",
		},
		"two at once": {
			[]jose.Algorithm{jose.ES256},
			[]store.SigningKey{rs, pending("new", "RS256", time.Hour), forClients(pending("other", "ES256", time.Hour))},
			0,
			"rs retiring, new active; other* active",
		},
		"tokens are good":             {nil, []store.SigningKey{rs, retiring("old", kept-time.Second)}, time.Hour, ""},
		"tokens by the wall clock":    {nil, []store.SigningKey{rs, retiring("old", time.Hour)}, kept - time.Second, ""},
		"the last token has expired":  {nil, []store.SigningKey{rs, retiring("old", kept)}, kept, "old removed"},
		"a day before its age":        {nil, []store.SigningKey{rs}, 89 * 24 * time.Hour, ""},
		"old":                         {nil, []store.SigningKey{rs}, 90 * 24 * time.Hour, "+RS256 pending"},
		"old, and replaced already":   {nil, []store.SigningKey{rs, pending("new", "RS256", 0)}, 90 * 24 * time.Hour, ""},
		"old, and on its way out":     {nil, []store.SigningKey{es, pending("new", "RS256", 0)}, 90 * 24 * time.Hour, ""},
		"old, of another algorithm":   {nil, []store.SigningKey{es}, 90 * 24 * time.Hour, "+ES256 pending"},
		"made by a clock in error":    {nil, []store.SigningKey{rs}, -2 * time.Hour, "+RS256 pending"},
		"a little in the future only": {nil, []store.SigningKey{rs}, -time.Minute, ""},
	} {
		var got []string
		for _, group := range policy(c.further...).Due(store.KeySet{Keys: c.keys}, noon.Add(c.after)) {
			got = append(got, text(group))
		}
		if joined := strings.Join(got, "; "); joined != c.want {
			t.Errorf("%s: %q, want %q", name, joined, c.want)
		}
	}
}

func TestWhatARevocationChanges(t *testing.T) {
	rs, es := key("rs", "RS256", store.KeyActive), key("es", "ES256", store.KeyActive)
	next, lost := key("next", "RS256", store.KeyPending), key("lost", "RS256", store.KeyPending)
	for name, c := range map[string]struct {
		further []jose.Algorithm
		keys    []store.SigningKey
		want    string
	}{
		"the only one":                  {nil, []store.SigningKey{rs}, "rs removed, +RS256 active"},
		"with one pending":              {nil, []store.SigningKey{rs, next}, "rs removed, next active"},
		"with one pending that is lost": {nil, []store.SigningKey{rs, lost}, "rs removed, lost removed, +RS256 active"},
		"a retiring one":                {nil, []store.SigningKey{key("old", "RS256", store.KeyRetiring), rs}, "old removed"},
		"a pending one":                 {nil, []store.SigningKey{next, rs}, "next removed"},
		"the former default":            {nil, []store.SigningKey{es}, "es removed, +RS256 active"},
		"the former default with one pending": {
			nil, []store.SigningKey{es, next}, "es removed, next active",
		},
		"one for clients":               {[]jose.Algorithm{jose.ES256}, []store.SigningKey{forClients(es), rs}, "es* removed, +ES256* active"},
		"one that is not configured":    {nil, []store.SigningKey{forClients(es), rs}, "es* removed"},
		"the API's, which clients have": {[]jose.Algorithm{jose.ES256}, []store.SigningKey{rs, forClients(es)}, "rs removed, +RS256 active"},
	} {
		set := store.KeySet{Keys: c.keys}
		got := text(policy(c.further...).Revoke(set, c.keys[0], noon, func(k store.SigningKey) bool { return k.KID != "lost" }))
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAnInstallationWithoutKeysBeginsAtOnce, with all its algorithms.
func TestAnInstallationWithoutKeysBeginsAtOnce(t *testing.T) {
	if got := text(policy(jose.ES256, jose.RS256).Begin(noon)); got != "+RS256 active, +ES256* active" {
		t.Error(got)
	}
}

// TestTheFirstLateKeySignsAtOnce, and a start neither makes nor ends it.
func TestTheFirstLateKeySignsAtOnce(t *testing.T) {
	p := policy(jose.ES256)
	p.Late = jose.ES256
	rs, es := key("rs", "RS256", store.KeyActive), forClients(key("es", "ES256", store.KeyActive))
	waiting := forClients(key("new", "ES256", store.KeyPending))
	for name, c := range map[string]struct {
		keys []store.SigningKey
		want string
	}{
		"there is none":     {[]store.SigningKey{rs}, "+ES256* active"},
		"there is one":      {[]store.SigningKey{rs, es}, ""},
		"there will be one": {[]store.SigningKey{rs, waiting}, ""},
	} {
		set := store.KeySet{Keys: c.keys}
		var got []string
		for _, group := range p.Due(set, noon) {
			got = append(got, text(group))
		}
		if joined := strings.Join(got, "; "); joined != c.want || p.Busy(set, noon) != (c.want != "" || len(set.Keys) > 1 && set.Keys[1].Status == store.KeyPending) {
			t.Errorf("%s: %q, want %q", name, joined, c.want)
		}
		if got := text(p.Start(set, noon)); got != "" {
			t.Errorf("%s: a start: %q", name, got)
		}
	}
}

// TestTheKeySetBeginsWithTheSigner: there are clients that take the first key.
func TestTheKeySetBeginsWithTheSigner(t *testing.T) {
	older := key("older", "RS256", store.KeyRetiring)
	older.RetiredAt = noon.Add(-time.Hour)
	set := store.KeySet{Keys: []store.SigningKey{
		key("gone", "RS256", store.KeyRemoved), older, key("old", "RS256", store.KeyRetiring), key("next", "RS256", store.KeyPending),
		forClients(key("es", "ES256", store.KeyActive)), key("rs", "RS256", store.KeyActive),
	}}
	var kids []string
	for _, k := range lifecycle.Order(set) {
		kids = append(kids, k.KID)
	}
	if want := []string{"rs", "es", "next", "old", "older", "gone"}; !slices.Equal(kids, want) {
		t.Errorf("%v, want %v", kids, want)
	}
}
