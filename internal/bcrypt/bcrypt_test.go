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

func noPause() {}

func compute(t *testing.T, hash, password string) string {
	t.Helper()
	h, err := Parse(hash)
	if err != nil {
		t.Fatal(err)
	}
	h.Sum = Compute(h.Cost, noPause, NewWork(password, h.Salt, h.Cost))[0]
	return h.String()
}

func TestVectors(t *testing.T) {
	for hash, password := range vectors() {
		if got := compute(t, hash, password); got != hash {
			t.Errorf("%q: %s, want %s", password, got, hash)
		}
	}
}

func TestEveryLaneAgreesWithTheReference(t *testing.T) {
	for i := range 24 {
		lanes, cost := 1+i%MaxLanes, 4+i%3
		passwords, salts, works := make([]string, lanes), make([]Salt, lanes), make([]*Work, lanes)
		for lane := range works {
			length := (7*i + 31*lane) % 73 // from nothing to as much as counts
			password := make([]byte, length)
			_, _ = rand.Read(password)
			_, _ = rand.Read(salts[lane][:])
			passwords[lane] = string(password)
			works[lane] = NewWork(passwords[lane], salts[lane], cost-lane%2*min(1, cost-4)) // some are cheaper
		}
		for lane, sum := range Compute(cost, noPause, works...) {
			hash := Hash{Cost: works[lane].cost, Salt: salts[lane], Sum: sum}.String()
			if err := reference.CompareHashAndPassword([]byte(hash), []byte(passwords[lane])); err != nil {
				t.Errorf("lane %d of %d, password %x: %v", lane, lanes, passwords[lane], err)
			}
		}
	}
}

// FuzzLanes lets the fuzzer choose what all lanes hash together.
func FuzzLanes(f *testing.F) {
	f.Add("", "a", strings.Repeat("x", 72), "secret", []byte("0123456789abcdef"))
	f.Add("secret123", "\x00", "pässword\xff", "", []byte{})
	f.Fuzz(func(t *testing.T, a, b, c, d string, seed []byte) {
		var salt Salt
		copy(salt[:], seed)
		passwords := []string{a, b, c, d}
		sums := Compute(5, noPause, NewWork(a, salt, 4), NewWork(b, salt, 5), NewWork(c, salt, 4), NewWork(d, salt, 5))
		for i, p := range passwords {
			hash := Hash{Cost: 4 + i%2, Salt: salt, Sum: sums[i]}.String()
			if err := reference.CompareHashAndPassword([]byte(hash), []byte(p)); err != nil {
				t.Errorf("lane %d, %q: %v", i, p, err)
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

func TestComputeRefusesWhatItCannotDo(t *testing.T) {
	for name, works := range map[string][]*Work{
		"nothing": nil, "more than the lanes": make([]*Work, MaxLanes+1), "a dearer one": {NewWork("a", Salt{}, 4), NewWork("b", Salt{}, 5)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			Compute(4, noPause, works...)
		}()
	}
}

func TestComputePausesEachEighthRound(t *testing.T) {
	for cost, want := range map[int]int{4: 2, 7: 16} {
		pauses := 0
		Compute(cost, func() { pauses++ }, NewWork("a", Salt{}, cost), NewWork("b", Salt{}, 4))
		if pauses != want {
			t.Errorf("cost %d: %d pauses, want %d", cost, pauses, want)
		}
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
					works[i] = NewWork("secret123", Salt{byte(i)}, 10)
				}
				Compute(10, noPause, works...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lanes), "ns/hash")
		})
	}
}
