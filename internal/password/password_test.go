package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
)

// newHasher returns a cheap Hasher that ends with the test.
func newHasher(t *testing.T, cfg Config) *Hasher {
	t.Helper()
	if cfg.Cost == 0 {
		cfg.Cost = bcrypt.MinCost
	}
	h := New(cfg)
	t.Cleanup(h.Close)
	return h
}

// meter counts the work of bcrypt: 2 to the power of each hash's cost.
type meter struct {
	mu   sync.Mutex
	work int
}

// attach makes h report to the meter: a step is eight rounds of each hash.
func (m *meter) attach(h *Hasher) {
	h.pool.step = func(w *worker) []*job {
		m.mu.Lock()
		m.work += 8 * len(w.jobs)
		m.mu.Unlock()
		return w.step()
	}
}

// take returns the work since it was last asked.
func (m *meter) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	work := m.work
	m.work = 0
	return work
}

func hashOf(t *testing.T, password string, cost int) identity.PasswordHash {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return identity.PasswordHash(hash)
}

// fromPython turns a hash into one that the original wrote.
func fromPython(hash identity.PasswordHash) identity.PasswordHash {
	return "$2b$" + hash[4:]
}

func verify(t *testing.T, h *Hasher, hash identity.PasswordHash, password string) bool {
	t.Helper()
	match, err := h.Verify(context.Background(), "", hash, password)
	if err != nil {
		t.Fatal(err)
	}
	return match
}

// TestHashIsVerifiedByThePasswordOnly has pairs that a cutting comparison, or one that
// folds, would take for one.
func TestHashIsVerifiedByThePasswordOnly(t *testing.T) {
	h := newHasher(t, Config{})
	for password, other := range map[string]string{
		"secret123":                      "Secret123",
		"secret 123":                     "secret 123 ",
		"\u00e9t\u00e9":                  "ete",
		"\ufb01let":                      "filet", // NFKC would make them equal
		"":                               " ",
		strings.Repeat("x", 72):          strings.Repeat("x", 71) + "y",
		strings.Repeat("\U0001f511", 18): strings.Repeat("\U0001f511", 17),
	} {
		hash, err := h.Hash(context.Background(), "", password)
		if err != nil {
			t.Fatal(err)
		}
		if !verify(t, h, hash, password) {
			t.Errorf("%q does not match its own hash", password)
		}
		if verify(t, h, hash, other) {
			t.Errorf("%q matches the hash of %q", other, password)
		}
	}
}

// A keyboard of one system composes letters, that of another does not.
func TestAPasswordIsVerifiedInEachUnicodeForm(t *testing.T) {
	h := newHasher(t, Config{})
	const composed, decomposed, mixed = "\u00e9t\u00e9-\u1ec7", "e\u0301te\u0301-e\u0323\u0302", "\u00e9te\u0301-\u1eb9\u0302"
	for _, set := range []string{composed, decomposed, mixed} {
		hash, err := h.Hash(context.Background(), "", set)
		if err != nil {
			t.Fatal(err)
		}
		raw := fromPython(hashOf(t, set, bcrypt.MinCost))
		for _, typed := range []string{composed, decomposed, mixed} {
			if !verify(t, h, hash, typed) {
				t.Errorf("%q does not match the hash of %q", typed, set)
			}
			// A raw hash of a mixed form is known by that form only.
			if got, want := verify(t, h, raw, typed), set != mixed || typed == mixed; got != want {
				t.Errorf("%q matches the raw hash of %q: %t", typed, set, got)
			}
		}
	}
}

// TestTheNumberOfHashesDependsOnTheTypedTextOnly counts bcrypt's rounds for known and
// unknown users, raw and normalized hashes, right and wrong passwords.
func TestTheNumberOfHashesDependsOnTheTypedTextOnly(t *testing.T) {
	h := newHasher(t, Config{Cost: 5})
	var m meter
	m.attach(h)
	for typed, forms := range map[string]int{"secret123": 1, "\u00e9t\u00e9": 2, "e\u0301te\u0301": 2, "\u00e9te\u0301": 3, "\u6771\u4eac": 1} {
		normal, err := h.Hash(context.Background(), "", typed)
		if err != nil {
			t.Fatal(err)
		}
		for name, hash := range map[string]identity.PasswordHash{
			"unknown user": "", "normalized": normal, "raw": fromPython(hashOf(t, typed, 5)), "another's": hashOf(t, "x", 5), "cheaper": hashOf(t, typed, 4),
		} {
			m.take()
			verify(t, h, hash, typed)
			if work := m.take(); work != forms<<5 {
				t.Errorf("%q, %s: work %d, want %d", typed, name, work, forms<<5)
			}
		}
	}
}

func TestAHashIsRenewedWhenItsCostSchemeOrFormIsNotThatOfNewOnes(t *testing.T) {
	h := newHasher(t, Config{Cost: 5})
	const ascii, accented = "correct horse", "ch\u00e9val"
	for name, c := range map[string]struct {
		hash     identity.PasswordHash
		form     identity.PasswordForm
		password string
		same     bool // the hash stays
		none     bool // nothing is stored
	}{
		"as new ones":              {hash: hashOf(t, ascii, 5), form: identity.FormNFC, password: ascii, none: true},
		"accented, as new ones":    {hash: hashOf(t, accented, 5), form: identity.FormNFC, password: accented, none: true},
		"raw ASCII":                {hash: hashOf(t, ascii, 5), form: identity.FormRaw, password: ascii, same: true},
		"raw accented":             {hash: hashOf(t, accented, 5), form: identity.FormRaw, password: accented},
		"cheaper":                  {hash: hashOf(t, ascii, 4), form: identity.FormNFC, password: ascii},
		"costlier":                 {hash: hashOf(t, ascii, 6), form: identity.FormNFC, password: ascii},
		"of Python":                {hash: fromPython(hashOf(t, ascii, 5)), form: identity.FormRaw, password: ascii},
		"of Python, over 72 bytes": {hash: fromPython(hashOf(t, strings.Repeat("x", 72), 5)), form: identity.FormRaw, password: strings.Repeat("x", 73), none: true},
	} {
		renewed, err := h.Renew(context.Background(), "", c.hash, c.form, c.password)
		switch {
		case c.none:
			if renewed != "" {
				t.Errorf("%s: renewed", name)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case c.same != (renewed == c.hash) || !strings.HasPrefix(string(renewed), "$2a$05$") || !verify(t, h, renewed, c.password):
			t.Errorf("%s: %s of %s", name, string(renewed), string(c.hash))
		}
	}
}

func TestHashHasTheConfiguredCostAndOurMark(t *testing.T) {
	h := newHasher(t, Config{Cost: 5})
	hash, err := h.Hash(context.Background(), "", "secret123")
	if err != nil || !strings.HasPrefix(string(hash), "$2a$05$") || len(hash) != 60 {
		t.Errorf("%s, %v", string(hash), err)
	}
}

func TestZeroConfigIsTheDocumentedOne(t *testing.T) {
	h := New(Config{})
	defer h.Close()
	if h.cost != 12 || h.minLength != 8 || h.pool.workers < 1 || h.pool.queue != 16*h.pool.workers {
		t.Errorf("cost %d, length %d, %d workers, queue %d", h.cost, h.minLength, h.pool.workers, h.pool.queue)
	}
}

func TestHashRefusesMoreThan72BytesAndCutsNothing(t *testing.T) {
	h := newHasher(t, Config{})
	for _, long := range []string{strings.Repeat("a", 73), strings.Repeat("ü", 37), strings.Repeat("u\u0308", 37)} {
		hash, err := h.Hash(context.Background(), "", long)
		if hash != "" || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "72 bytes") {
			t.Errorf("%d bytes: %v", len(long), err)
		}
	}
	if _, err := h.Hash(context.Background(), "", strings.Repeat("ü", 36)); err != nil {
		t.Errorf("72 bytes: %v", err)
	}
	if _, err := h.Hash(context.Background(), "", strings.Repeat("u\u0308", 36)); err != nil {
		t.Errorf("72 bytes once composed: %v", err)
	}
}

// TestOurHashesNeverMatchMoreThan72Bytes holds although bcrypt itself would
// ignore what follows; the original's hashes match as they did there.
func TestOurHashesNeverMatchMoreThan72Bytes(t *testing.T) {
	h := newHasher(t, Config{})
	full := strings.Repeat("x", 72)
	ours := hashOf(t, full, bcrypt.MinCost)
	for name, test := range map[string]struct {
		hash     identity.PasswordHash
		password string
		want     bool
	}{
		"ours, 72 bytes":            {ours, full, true},
		"ours, 73 bytes":            {ours, full + "y", false},
		"ours, 64 KiB":              {ours, strings.Repeat("x", 1<<16), false},
		"Python's, 72 bytes":        {fromPython(ours), full, true},
		"Python's, 73 bytes":        {fromPython(ours), full + "y", true},
		"Python's, other beginning": {fromPython(ours), "y" + full, false},
		"PHP's, 73 bytes":           {"$2y$" + ours[4:], full + "y", true},
	} {
		if got := verify(t, h, test.hash, test.password); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestOurHashesMatchNothingWithANUL holds although bcrypt repeats a password
// with a NUL between, so that it cannot tell these apart.
func TestOurHashesMatchNothingWithANUL(t *testing.T) {
	h := newHasher(t, Config{})
	ours := hashOf(t, "zebra-lamp", bcrypt.MinCost)
	const twice = "zebra-lamp\x00zebra-lamp"
	if verify(t, h, ours, twice) || verify(t, h, ours, "zebra-lamp\x00") || !verify(t, h, ours, "zebra-lamp") {
		t.Error("a hash of ours is misjudged")
	}
	if !verify(t, h, fromPython(ours), twice) {
		t.Error("the original took it, and a user may have such a password")
	}
}

func TestCutMayFallIntoACharacter(t *testing.T) {
	h := newHasher(t, Config{})
	typed := "a" + strings.Repeat("ü", 40) // Python cut in the middle of one
	if !verify(t, h, fromPython(hashOf(t, typed[:72], bcrypt.MinCost)), typed) {
		t.Error("a password of the original is refused")
	}
}

func TestHashMadeByPythonMatches(t *testing.T) {
	h := newHasher(t, Config{})
	const hash = "$2b$04$F.Dw6fH7T1iiBc28n6OdpuzopEAvJvQpxG6Z3bfZW0SnWHuJdBFLi"
	if !verify(t, h, hash, "secret123") || verify(t, h, hash, "secret124") {
		t.Error("a hash of Python's bcrypt is misjudged")
	}
}

// malformed hashes match nothing; several get past bcrypt's first look.
func malformed(t *testing.T) map[string]identity.PasswordHash {
	good := hashOf(t, "secret123", bcrypt.MinCost)
	return map[string]identity.PasswordHash{
		"unknown user":       "",
		"plain text":         "secret123",
		"prefix only":        "$2b$",
		"cut":                good[:59],
		"too long":           good + "a",
		"unknown version":    "$3a$" + good[4:],
		"unknown revision":   "$2x$" + good[4:],
		"no revision":        "$2$" + good[3:],
		"cost of letters":    "$2a$xx$" + good[7:],
		"cost too low":       "$2a$03$" + good[7:],
		"cost of days":       "$2a$31$" + good[7:],
		"cost beyond bcrypt": "$2a$99$" + good[7:],
		"salt not base64":    good[:7] + "!!!!!!!!!!!!!!!!!!!!!!" + good[29:],
		"another scheme":     "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA",
		"NULs":               identity.PasswordHash(strings.Repeat("\x00", 60)),
	}
}

// TestEveryVerificationTakesTheSameWork counts bcrypt's rounds, not time:
// whether the user exists, the hash is sound, cheaper or of Python, or the
// password right, wrong or too long makes no difference.
func TestEveryVerificationTakesTheSameWork(t *testing.T) {
	const cost = 6
	h := newHasher(t, Config{Cost: cost})
	var m meter
	m.attach(h)
	hashes := malformed(t)
	for c := bcrypt.MinCost; c <= cost; c++ {
		hashes["cost "+string(rune('0'+c))] = hashOf(t, "secret123", c)
		hashes["Python's, cost "+string(rune('0'+c))] = fromPython(hashOf(t, "secret123", c))
	}
	bad := malformed(t)
	for name, hash := range hashes {
		for _, password := range []string{"secret123", "wrong", strings.Repeat("a", 1000)} {
			_, isBad := bad[name]
			if got, want := verify(t, h, hash, password), password == "secret123" && !isBad; got != want {
				t.Errorf("%s, %.10q: %v", name, password, got)
			}
			if work := m.take(); work != 1<<cost {
				t.Errorf("%s, %.10q: work %d, want %d", name, password, work, 1<<cost)
			}
		}
	}
}

// TestCostlierHashRaisesTheWorkOfAll is the case of an operator who lowered
// the cost: without it, a quick refusal would show that the user is unknown.
func TestCostlierHashRaisesTheWorkOfAll(t *testing.T) {
	h := newHasher(t, Config{Cost: 5})
	var m meter
	m.attach(h)
	old, recent := hashOf(t, "secret123", 7), hashOf(t, "secret123", 5)
	if !verify(t, h, old, "secret123") || m.take() != 1<<7 {
		t.Error("the costly hash itself is misjudged")
	}
	for name, hash := range map[string]identity.PasswordHash{"unknown user": "", "recent": recent, "old": old} {
		if verify(t, h, hash, "wrong"); m.take() != 1<<7 {
			t.Errorf("%s takes another work than the costly hash", name)
		}
	}
	if !verify(t, h, recent, "secret123") {
		t.Error("the recent hash no longer matches")
	}
	if hash, err := h.Hash(context.Background(), "", "secret123"); err != nil || !strings.HasPrefix(string(hash), "$2a$05$") {
		t.Errorf("new hashes do not have the configured cost: %v", err)
	}
}

func TestIsDefaultKnowsThePublishedPassword(t *testing.T) {
	for name, hash := range malformed(t) {
		if IsDefault(hash) {
			t.Errorf("%s counts as the default", name)
		}
	}
	admin := hashOf(t, "admin", bcrypt.MinCost)
	if !IsDefault(admin) || !IsDefault(fromPython(admin)) || IsDefault(hashOf(t, "Admin", bcrypt.MinCost)) {
		t.Error("the default password is not told from others")
	}
}

// TestRefusalsDoNotDependOnTheHash holds for the full queue and for callers
// that gave up: neither shows whether the user exists.
func TestRefusalsDoNotDependOnTheHash(t *testing.T) {
	h := newHasher(t, Config{Workers: 1, Queue: 1})
	someone := hashOf(t, "secret123", bcrypt.MinCost)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	full := &gate{began: make(chan int, 1), open: make(chan struct{})}
	h.pool.lanes, h.pool.step = 1, full.step
	one := start(context.Background(), h.pool, "", 1)
	<-full.began
	two := start(context.Background(), h.pool, "", 2)
	for h.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	for _, hash := range []identity.PasswordHash{someone, "", "junk"} {
		if match, err := h.Verify(context.Background(), "", hash, "secret123"); match || fault.KindOf(err) != fault.Throttled {
			t.Errorf("queue full: %v, %v", match, err)
		}
		if match, err := h.Verify(gone, "", hash, "secret123"); match || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v, %v", match, err)
		}
	}
	if hash, err := h.Hash(context.Background(), "", "secret123"); hash != "" || fault.KindOf(err) != fault.Throttled {
		t.Errorf("hash, queue full: %v", err)
	}
	close(full.open)
	if err := errors.Join(<-one, <-two); err != nil {
		t.Error(err)
	}
	if got := h.Stats(); got.Refused != 4 || got.Done != 2 {
		t.Errorf("%+v", got)
	}
}
