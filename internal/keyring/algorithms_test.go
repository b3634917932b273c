package keyring_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring"
	"github.com/pico-auth/pico-auth/internal/store"
)

// signs has a token signed with the key of an algorithm and verifies with the key set that has
// every key.
func signs(t *testing.T, ring *keyring.Ring, algorithm jose.Algorithm) (kid string) {
	t.Helper()
	signer, err := ring.Signer(algorithm)
	must(t, err)
	token, err := signer.Sign(jose.TypeAccessToken, []byte(`{}`))
	must(t, err)
	body := ring.Published().AllJWKS()
	keys, err := jose.ParseJWKSet(body)
	must(t, err)
	_, header, err := jose.Verify(token, func(h jose.Header) (*jose.PublicKey, error) { return keys[h.KeyID], nil })
	if err != nil || header.Algorithm != algorithm || header.KeyID != signer.KID {
		t.Errorf("%+v, %v", header, err)
	}
	return signer.KID
}

// TestEachAlgorithmHasAKeyOfItsOwn, from the first start, and each is rotated,
// retired and revoked without the others.
func TestEachAlgorithmHasAKeyOfItsOwn(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.Algorithms = []jose.Algorithm{jose.ES256, jose.MLDSA44, jose.EdDSA} // the default may be named
		ring := open(t, cfg)
		api, es, pq := signs(t, ring, jose.EdDSA), signs(t, ring, jose.ES256), signs(t, ring, jose.MLDSA44)
		if ring.Active().KID != api || len(ring.Published().Keys()) != 3 {
			t.Fatalf("%+v", ring.Published().Keys())
		}
		if _, err := ring.Signer(jose.RS256); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("an algorithm that is not configured: %v", err)
		}
		if _, _, err := admin(t, cfg).Rotate(t.Context(), operator, jose.RS256, false); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a rotation of one: %v", err)
		}

		// Two rotations at once: the default one and ES256.
		nextAPI := rotate(t, cfg, false)
		nextES, err := admin(t, cfg).Retire(t.Context(), operator, es)
		must(t, err)
		c.tick(t, 0, ring)
		c.tick(t, 5*time.Minute, ring)
		if signs(t, ring, jose.EdDSA) != nextAPI || signs(t, ring, jose.ES256) != nextES || signs(t, ring, jose.MLDSA44) != pq {
			t.Errorf("%+v", ring.Published().Keys())
		}
		if got := statuses(t, cfg.Store, api, es, pq); got != "retiring/retiring/active" {
			t.Error(got)
		}
		successor, err := admin(t, cfg).Revoke(t.Context(), operator, nextES, false)
		must(t, err)
		must(t, ring.Refresh(t.Context()))
		if signs(t, ring, jose.ES256) != successor || signs(t, ring, jose.EdDSA) != nextAPI {
			t.Errorf("after a revocation: %+v", ring.Published().Keys())
		}
	})
}

// TestAFurtherAlgorithmIsPublishedBeforeItSigns, and retires when it is not
// configured any more.
func TestAFurtherAlgorithmIsPublishedBeforeItSigns(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		open(t, cfg)
		with := cfg
		with.Algorithms = []jose.Algorithm{jose.ES256}
		ring := open(t, with)
		c.tick(t, 0, ring)
		c.tick(t, 4*time.Minute, ring)
		if _, err := ring.Signer(jose.ES256); err == nil || len(ring.Published().Keys()) != 2 {
			t.Errorf("it signs at once: %+v", ring.Published().Keys())
		}
		c.tick(t, time.Minute, ring)
		es := signs(t, ring, jose.ES256)
		if ring.Active().Algorithm != jose.EdDSA {
			t.Errorf("%s signs the tokens of the API", ring.Active().Algorithm)
		}
		without := open(t, cfg)
		c.tick(t, 0, ring, without)
		if got := statuses(t, cfg.Store, es); got != "retiring" {
			t.Errorf("not configured any more: %s", got)
		}
		if _, err := ring.Signer(jose.ES256); err == nil {
			t.Error("it still signs")
		}
		c.tick(t, 12*time.Minute, ring, without)
		if got := statuses(t, cfg.Store, es); got != "removed" {
			t.Error(got)
		}
	})
}

// TestTheDefaultAlgorithmChangesAmongConfiguredOnes: the former key stays for
// clients that ask for its algorithm, and a key for clients makes way.
func TestTheDefaultAlgorithmChangesAmongConfiguredOnes(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		cfg.Algorithms = []jose.Algorithm{jose.EdDSA, jose.ES256}
		ring := open(t, cfg)
		ed, es := signs(t, ring, jose.EdDSA), signs(t, ring, jose.ES256)
		cfg.Algorithm = jose.ES256
		ring = open(t, cfg)
		if k := ring.Published().Keys(); k[0].Algorithm != jose.EdDSA || !slices.ContainsFunc(k, func(k keyring.KeyInfo) bool {
			return k.Status == store.KeyPending && k.Algorithm == jose.ES256 && k.Due == 5*time.Minute
		}) {
			t.Errorf("after the start %+v", k)
		}
		c.tick(t, 0, ring)
		if ring.Active().KID != ed {
			t.Errorf("%+v", ring.Active())
		}
		c.tick(t, 5*time.Minute, ring)
		fresh := ring.Active()
		if fresh.Algorithm != jose.ES256 || fresh.KID == es || signs(t, ring, jose.EdDSA) != ed || statuses(t, cfg.Store, ed, es) != "active/retiring" {
			t.Errorf("%+v", ring.Published().Keys())
		}
	})
}

// TestARotationThatIsRefusedMakesNoKey: one that is to sign at once is made and activated
// in one transaction, or not at all.
func TestARotationThatIsRefusedMakesNoKey(t *testing.T) {
	eachClocked(t, func(t *testing.T, _ *clockwork, cfg keyring.Config) {
		cfg.Algorithms = []jose.Algorithm{jose.EdDSA, jose.ES256}
		first := open(t, cfg).Active().KID
		second := rotate(t, cfg, true)
		if got := statuses(t, cfg.Store, first, second); got != "retiring/active" {
			t.Error(got)
		}
		before, err := cfg.Store.Events(t.Context(), 0)
		must(t, err)
		if len(before) != 2 || before[0].Action != identity.ActionKeyActivate || before[1].Action != identity.ActionKeyRetire {
			t.Errorf("audit: %+v", before)
		}
		cfg.Algorithm = jose.ES256
		open(t, cfg) // begins the change of the default algorithm
		before, err = cfg.Store.Events(t.Context(), 0)
		must(t, err)
		keys := len(rows(t, cfg.Store).Keys)
		if _, _, err := admin(t, cfg).Rotate(t.Context(), operator, jose.EdDSA, true); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the key of the API gives way to one for clients: %v", err)
		}
		after, err := cfg.Store.Events(t.Context(), 0)
		must(t, err)
		if len(rows(t, cfg.Store).Keys) != keys || len(after) != len(before) {
			t.Errorf("%d keys after %d, %d events after %d", len(rows(t, cfg.Store).Keys), keys, len(after), len(before))
		}
	})
}

// TestTheMainKeySetHasAKPKeysOnlyForTheAPI: one takes the whole set away from
// clients that do not know the type.
func TestTheMainKeySetHasAKPKeysOnlyForTheAPI(t *testing.T) {
	c, cfg, _ := logged(t)
	sets := func(ring *keyring.Ring) (main, all bool) {
		t.Helper()
		body := ring.Published().JWKS()
		every := ring.Published().AllJWKS()
		if listed := slices.Contains(ring.Published().Algorithms(), jose.MLDSA44); listed != strings.Contains(string(body), "AKP") {
			t.Errorf("discovery lists ML-DSA: %t", listed)
		}
		return strings.Contains(string(body), "AKP"), strings.Contains(string(every), "AKP")
	}
	cfg.Algorithms = []jose.Algorithm{jose.MLDSA44}
	ring := open(t, cfg)
	look := func(when string, wantMain bool) {
		t.Helper()
		if main, all := sets(ring); main != wantMain || !all {
			t.Errorf("%s: in the main set %t, in the other %t", when, main, all)
		}
	}
	look("for clients", false)
	_, _, err := admin(t, cfg).Rotate(t.Context(), operator, jose.MLDSA44, true)
	must(t, err)
	c.tick(t, 0, ring)
	look("one for clients retiring", false)

	cfg.Algorithm = jose.MLDSA44
	must(t, ring.Rest(t.Context()))
	ring = open(t, cfg)
	look("the default, pending", true)
	c.tick(t, 0, ring)
	c.tick(t, 5*time.Minute, ring)
	if ring.Active().Algorithm != jose.MLDSA44 {
		t.Fatalf("%+v", ring.Published().Keys())
	}
	look("the default", true)

	cfg.Algorithm = jose.EdDSA
	must(t, ring.Rest(t.Context()))
	ring = open(t, cfg)
	for range 4 {
		c.tick(t, 5*time.Minute, ring)
	}
	c.tick(t, 0, ring)
	if ring.Active().Algorithm != jose.EdDSA || signs(t, ring, jose.MLDSA44) == "" {
		t.Errorf("%+v", ring.Published().Keys())
	}
	look("the former default, retiring", true)
	for range 4 {
		c.tick(t, 5*time.Minute, ring)
	}
	look("for clients again", false)
	if n := len(rows(t, cfg.Store).Keys); n < 5 || rows(t, cfg.Store).First(store.KeyRetiring, "") != nil {
		t.Errorf("%d keys in all", n)
	}
}

// TestACommandDoesNotTurnAChangeOfTheAlgorithmBack while it is under way, when its
// configuration is not that of the servers.
func TestACommandDoesNotTurnAChangeOfTheAlgorithmBack(t *testing.T) {
	eachClocked(t, func(t *testing.T, c *clockwork, cfg keyring.Config) {
		open(t, cfg)
		changed := cfg
		changed.Algorithm = jose.ES256
		ring := open(t, changed)
		pending := rows(t, cfg.Store).First(store.KeyPending, "").KID
		if kid, made, err := admin(t, cfg).Rotate(t.Context(), operator, "", false); err != nil || made || kid != pending {
			t.Errorf("a rotation: %s, %v, %v", kid, made, err)
		}
		c.tick(t, 0, ring)
		c.tick(t, 5*time.Minute, ring)
		if all, err := admin(t, cfg).Keys(t.Context()); err != nil || len(all) != 2 || ring.Active().Algorithm != jose.ES256 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// TestTheLateKeyIsMadeAfterTheStart, once, by whichever replica is first, and signs at
// once. A start neither makes nor retires it.
func TestTheLateKeyIsMadeAfterTheStart(t *testing.T) {
	eachClocked(t, func(t *testing.T, _ *clockwork, cfg keyring.Config) {
		cfg.Algorithms, cfg.Late = []jose.Algorithm{jose.ES256}, jose.ES256
		ring, other := open(t, cfg), open(t, cfg)
		if _, err := ring.Signer(jose.ES256); fault.KindOf(err) != fault.Unavailable || len(ring.Published().Keys()) != 1 {
			t.Fatalf("%v; %+v", err, ring.Published().Keys())
		}
		must(t, ring.Step(t.Context()))
		kid := signs(t, ring, jose.ES256)
		for _, r := range []*keyring.Ring{ring, other, open(t, cfg)} {
			must(t, r.Step(t.Context()))
			must(t, r.Refresh(t.Context()))
			if signs(t, r, jose.ES256) != kid || len(r.Published().Keys()) != 2 || r.Active().Algorithm != jose.EdDSA {
				t.Errorf("%+v", r.Published().Keys())
			}
		}
	})
}
