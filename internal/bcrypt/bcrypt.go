package bcrypt

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

//go:generate go run ./gen

const (
	saltText = 22 // characters of a salt
	sumText  = 31 // characters of a sum
	// hashText is the length of a hash: "$2a$12$", salt and sum.
	hashText = 7 + saltText + sumText

	minCost = 4
	maxCost = 31
)

// ErrMalformed is returned for text that is no bcrypt hash.
var ErrMalformed = errors.New("bcrypt: malformed hash")

// alphabet is bcrypt's own base64. Spare bits at the end of a salt or sum are
// ignored, as every implementation does.
var alphabet = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// Salt makes equal passwords differ. It must be random for each hash.
type Salt [16]byte

// Hash is the text form of a hash, taken apart.
type Hash struct {
	Cost int    // the work is 2 to its power
	Salt Salt   //
	Sum  string // as written, 31 characters
}

// Parse takes a hash of the forms $2a$, $2b$ and $2y$ apart.
func Parse(text string) (Hash, error) {
	if len(text) != hashText || text[:2] != "$2" || text[3] != '$' || text[6] != '$' ||
		(text[2] != 'a' && text[2] != 'b' && text[2] != 'y') {
		return Hash{}, ErrMalformed
	}
	cost, err := strconv.ParseUint(text[4:6], 10, 8)
	if err != nil || cost < minCost || cost > maxCost {
		return Hash{}, ErrMalformed
	}
	salt, err := alphabet.DecodeString(text[7 : 7+saltText])
	if err != nil || len(salt) != len(Salt{}) {
		return Hash{}, ErrMalformed
	}
	return Hash{Cost: int(cost), Salt: Salt(salt), Sum: text[7+saltText:]}, nil
}

// String is the hash in the form $2a$.
func (h Hash) String() string {
	return fmt.Sprintf("$2a$%02d$%s%s", h.Cost, alphabet.EncodeToString(h.Salt[:]), h.Sum)
}

// Work is one hash to be computed. Its fields are set before Lanes.Add.
type Work struct {
	Password string // of at most 72 bytes; what follows them is ignored
	Salt     Salt
	Cost     int // of the hash, at least 4

	// Effort is the cost that the work takes, at least Cost: the sum of a cheaper
	// hash is taken on the way, so that the time does not reveal its cost.
	Effort int

	Sum string // the result, as in Hash; empty until the work is done

	rounds uint64 // so far
}

// stepRounds is how many rounds a step takes: half a millisecond. The rounds of each
// cost are a multiple of it.
const stepRounds = 8

// Lanes computes up to MaxLanes works side by side. A work begins when it is added and
// is done after its own rounds, whatever the others: nothing is waited for. The zero
// value has no work.
type Lanes struct {
	works       []*Work
	states      [MaxLanes]state
	keys, salts [MaxLanes]schedule
}

// Add begins a work. It panics if there are MaxLanes works, or at costs that no hash has.
func (l *Lanes) Add(w *Work) {
	n := len(l.works)
	if n == MaxLanes || w.Cost < minCost || w.Effort < w.Cost || w.Effort > maxCost {
		panic(fmt.Sprintf("bcrypt: a work of cost %d of effort %d, beside %d others", w.Cost, w.Effort, n))
	}
	l.states[n] = initial
	l.keys[n], l.salts[n] = keySchedule(w.Password), saltSchedule(w.Salt)
	l.states[n].expandSalted(&l.keys[n], &l.salts[n])
	l.works = append(l.works, w)
}

// Step computes half a millisecond of each work and returns those that are done. It
// panics without a work.
func (l *Lanes) Step() (done []*Work) {
	expand := expanders[len(l.works)]
	for range stepRounds {
		expand(&l.states, &l.keys)
		expand(&l.states, &l.salts)
	}
	for i := len(l.works) - 1; i >= 0; i-- {
		w := l.works[i]
		w.rounds += stepRounds
		if w.rounds == 1<<w.Cost {
			w.Sum = l.states[i].sum()
		}
		if w.rounds == 1<<w.Effort {
			done = append(done, w)
			l.remove(i)
		}
	}
	return done
}

// remove gives the lane to the last work. Nothing of a password remains.
func (l *Lanes) remove(i int) {
	last := len(l.works) - 1
	l.works[i], l.states[i], l.keys[i], l.salts[i] = l.works[last], l.states[last], l.keys[last], l.salts[last]
	l.works[last], l.states[last], l.keys[last], l.salts[last] = nil, state{}, schedule{}, schedule{}
	l.works = l.works[:last]
}

// keySchedule is the password and a NUL, over and over.
func keySchedule(password string) (key schedule) {
	at := 0
	for i := range key {
		for range 4 {
			key[i] <<= 8
			if at < len(password) {
				key[i] |= uint32(password[at])
				at++
			} else {
				at = 0
			}
		}
	}
	return key
}

// saltSchedule is the salt, over and over.
func saltSchedule(salt Salt) (words schedule) {
	for i := range words {
		words[i] = binary.BigEndian.Uint32(salt[4*(i%4):])
	}
	return words
}

// expandSalted is the first expansion: as expand1, but the chain of
// encryptions takes in the salt at each step.
func (t *state) expandSalted(key, salt *schedule) {
	for i := range t.p {
		t.p[i] ^= key[i]
	}
	var l, r uint32
	half := 0
	step := func() (uint32, uint32) {
		l, r = t.encipher(l^salt[half], r^salt[half+1])
		half ^= 2
		return l, r
	}
	for i := 0; i < len(t.p); i += 2 {
		t.p[i], t.p[i+1] = step()
	}
	for box := range t.s {
		for i := 0; i < len(t.s[box]); i += 2 {
			t.s[box][i], t.s[box][i+1] = step()
		}
	}
}

// sum encrypts the magic text 64 times; its last byte is dropped, as the first
// implementation did.
func (t *state) sum() string {
	magic := [24]byte([]byte("OrpheanBeholderScryDoubt"))
	for i := 0; i < len(magic); i += 8 {
		l, r := binary.BigEndian.Uint32(magic[i:]), binary.BigEndian.Uint32(magic[i+4:])
		for range 64 {
			l, r = t.encipher(l, r)
		}
		binary.BigEndian.PutUint32(magic[i:], l)
		binary.BigEndian.PutUint32(magic[i+4:], r)
	}
	return alphabet.EncodeToString(magic[:23])
}

// schedule is a key or a salt as it is mixed into the 18 words of P.
type schedule [18]uint32

// state is the key schedule of Blowfish.
type state struct {
	p schedule
	s [4][256]uint32
}

// encipher encrypts one block of 64 bits.
func (t *state) encipher(l, r uint32) (uint32, uint32) {
	l ^= t.p[0]
	for i := 1; i < 17; i += 2 {
		r ^= t.mix(l) ^ t.p[i]
		l ^= t.mix(r) ^ t.p[i+1]
	}
	return r ^ t.p[17], l
}

func (t *state) mix(x uint32) uint32 {
	return ((t.s[0][x>>24] + t.s[1][byte(x>>16)]) ^ t.s[2][byte(x>>8)]) + t.s[3][byte(x)] //nolint:gosec // one byte each is what is wanted
}
