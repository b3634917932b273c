package bcrypt

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	reference "golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"
)

// vectors are hashes of other implementations: crypt_blowfish's own test and
// Python's bcrypt ($2b$).
func vectors() map[string]string {
	return map[string]string{
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": "U*U",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK": "U*U*",
		"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a": "U*U*U",
		"$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy": "",
	}
}

// compute makes the sums of works that begin together.
func compute(works ...*Work) {
	var lanes Lanes
	for _, w := range works {
		lanes.Add(w)
	}
	for left := len(works); left > 0; {
		left -= len(lanes.Step())
	}
}

func hash(t *testing.T, text, password string) string {
	t.Helper()
	h, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	w := &Work{Password: password, Salt: h.Salt, Cost: h.Cost, Effort: h.Cost}
	compute(w)
	h.Sum = w.Sum
	return h.String()
}

// agrees asks the reference whether the sum is that of the password.
func agrees(w *Work) error {
	text := Hash{Cost: w.Cost, Salt: w.Salt, Sum: w.Sum}.String()
	return reference.CompareHashAndPassword([]byte(text), []byte(w.Password[:min(len(w.Password), 72)]))
}

func TestVectors(t *testing.T) {
	for text, password := range vectors() {
		if got := hash(t, text, password); got != text {
			t.Errorf("%q: %s, want %s", password, got, text)
		}
	}
}

func TestEveryLaneAgreesWithTheReference(t *testing.T) {
	for i := range 24 {
		works := make([]*Work, 1+i%MaxLanes)
		for lane := range works {
			password := make([]byte, (7*i+31*lane)%73) // from nothing to as much as counts
			_, _ = rand.Read(password)
			w := &Work{Password: string(password), Effort: 4 + i%3}
			w.Cost = max(w.Effort-lane%2, 4) // some are cheaper
			_, _ = rand.Read(w.Salt[:])
			works[lane] = w
		}
		compute(works...)
		for lane, w := range works {
			if err := agrees(w); err != nil {
				t.Errorf("lane %d of %d, password %x: %v", lane, len(works), w.Password, err)
			}
		}
	}
}

// TestAWorkMayBeginAndEndBesideOthers lets works of several costs come at any step:
// each agrees with the reference, and takes the steps of its effort.
func TestAWorkMayBeginAndEndBesideOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lanes Lanes
		began, running := map[*Work]int{}, 0
		for step := 0; step < 12 || running > 0; step++ {
			for step < 12 && running < MaxLanes && rapid.Bool().Draw(t, "another") {
				w := &Work{Password: rapid.String().Draw(t, "password"), Effort: rapid.IntRange(4, 6).Draw(t, "effort")}
				w.Cost = rapid.IntRange(4, w.Effort).Draw(t, "cost")
				copy(w.Salt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
				lanes.Add(w)
				began[w] = step
				running++
			}
			if running == 0 {
				continue
			}
			for _, w := range lanes.Step() {
				running--
				if took, want := step-began[w]+1, 1<<w.Effort/8; took != want {
					t.Fatalf("a work of effort %d took %d steps, not %d", w.Effort, took, want)
				}
				if err := agrees(w); err != nil {
					t.Fatalf("%q, cost %d: %v", w.Password, w.Cost, err)
				}
			}
		}
		for i := range MaxLanes {
			if lanes.keys[i] != (schedule{}) || lanes.salts[i] != (schedule{}) || lanes.states[i] != (state{}) {
				t.Fatalf("lane %d remembers a password", i)
			}
		}
	})
}

// FuzzLanes lets the fuzzer choose what all lanes hash together.
func FuzzLanes(f *testing.F) {
	f.Add("", "a", strings.Repeat("x", 72), "secret", []byte("0123456789abcdef"))
	f.Add("secret123", "\x00", "pässword\xff", "", []byte{})
	f.Fuzz(func(t *testing.T, a, b, c, d string, seed []byte) {
		var salt Salt
		copy(salt[:], seed)
		var works []*Work
		for i, password := range []string{a, b, c, d} {
			works = append(works, &Work{Password: password, Salt: salt, Cost: 4 + i%2, Effort: 5})
		}
		compute(works...)
		for i, w := range works {
			if err := agrees(w); err != nil {
				t.Errorf("lane %d, %q: %v", i, w.Password, err)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for hash := range vectors() {
		f.Add(hash)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if err != nil {
			return
		}
		if cost, err := reference.Cost([]byte(text)); err != nil || cost != h.Cost {
			t.Errorf("%q: cost %d, the reference says %d, %v", text, h.Cost, cost, err)
		}
		if again, err := Parse(h.String()); err != nil || again != h {
			t.Errorf("%q changes when written and read again", text)
		}
	})
}

func TestParseRefusesWhatIsNoHash(t *testing.T) {
	good := "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	for _, text := range []string{
		"", good[:59], good + "x", strings.Replace(good, "2a", "2x", 1), strings.Replace(good, "2a", "1a", 1),
		strings.Replace(good, "$05$", "$5$0", 1), strings.Replace(good, "05", "03", 1), strings.Replace(good, "05", "32", 1),
		strings.Replace(good, "05", "+5", 1), strings.Replace(good, "$05", "x05", 1), strings.Replace(good, "CC", "*C", 1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLanesRefuseWhatTheyCannotDo(t *testing.T) {
	var full Lanes
	for range MaxLanes {
		full.Add(&Work{Cost: 4, Effort: 4})
	}
	for name, try := range map[string]func(){
		"no work":                   func() { new(Lanes).Step() },
		"more than the lanes":       func() { full.Add(&Work{Cost: 4, Effort: 4}) },
		"less effort than it costs": func() { new(Lanes).Add(&Work{Cost: 5, Effort: 4}) },
		"too cheap":                 func() { new(Lanes).Add(&Work{Cost: 3, Effort: 4}) },
		"too dear":                  func() { new(Lanes).Add(&Work{Cost: 4, Effort: 32}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			try()
		}()
	}
}

func TestTheGeneratedLanesAreUpToDate(t *testing.T) {
	gen, err := filepath.Abs("gen")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "gen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, gen).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(cmd.Dir, "lanes_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("lanes_gen.go"); err != nil || string(got) != string(want) {
		t.Errorf("lanes_gen.go differs from what gen writes: run go generate (%v)", err)
	}
}

func BenchmarkReference(b *testing.B) {
	hash, err := reference.GenerateFromPassword([]byte("secret123"), 10)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_ = reference.CompareHashAndPassword(hash, []byte("secret123"))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/hash")
}

func BenchmarkLanes(b *testing.B) {
	for lanes := 1; lanes <= MaxLanes; lanes++ {
		b.Run(string(rune('0'+lanes)), func(b *testing.B) {
			for b.Loop() {
				works := make([]*Work, lanes)
				for i := range works {
					works[i] = &Work{Password: "secret123", Salt: Salt{byte(i)}, Cost: 10, Effort: 10}
				}
				compute(works...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lanes), "ns/hash")
		})
	}
}
