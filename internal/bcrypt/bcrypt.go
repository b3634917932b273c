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
	if err != nil || cost < 4 || cost > 31 {
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

// Work is one hash to be computed. The zero value is not useful: see NewWork.
type Work struct {
	cost      int
	blowfish  state
	key, salt schedule
	raw       [4]uint32 // the salt
}

// NewWork prepares the hash at a cost of a password of at most 72 bytes; what
// follows them is ignored.
func NewWork(password string, salt Salt, cost int) *Work {
	w := &Work{cost: cost, blowfish: initial}
	for i := range w.raw {
		w.raw[i] = binary.BigEndian.Uint32(salt[4*i:])
	}
	// The key is the password and a NUL, over and over.
	at := 0
	for i := range w.key {
		for range 4 {
			w.key[i] <<= 8
			if at < len(password) {
				w.key[i] |= uint32(password[at])
				at++
			} else {
				at = 0
			}
		}
		w.salt[i] = w.raw[i%4]
	}
	w.expandSalted()
	return w
}

// expandSalted is the first expansion: as expand1, but the chain of
// encryptions takes in the salt at each step.
func (w *Work) expandSalted() {
	t := &w.blowfish
	for i := range t.p {
		t.p[i] ^= w.key[i]
	}
	var l, r uint32
	half := 0
	step := func() (uint32, uint32) {
		l, r = t.encipher(l^w.raw[half], r^w.raw[half+1])
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

// pauseEvery is after how many rounds Compute pauses: half a millisecond.
const pauseEvery = 8

// Compute makes the sums of one to MaxLanes works, in the order of the works. It
// takes the rounds of the given cost, whatever the works' own: the sum of a
// cheaper one is taken on the way, so that the time does not reveal it. Each half
// millisecond it calls pause. It panics at other numbers and at a work of a higher
// cost.
func Compute(cost int, pause func(), works ...*Work) []string {
	if len(works) == 0 || len(works) > MaxLanes {
		panic(fmt.Sprintf("bcrypt: %d works at once", len(works)))
	}
	var lanes struct {
		states      [MaxLanes]state
		keys, salts [MaxLanes]schedule
	}
	for i, w := range works {
		if w.cost > cost {
			panic(fmt.Sprintf("bcrypt: a work of cost %d among those of %d", w.cost, cost))
		}
		lanes.states[i], lanes.keys[i], lanes.salts[i] = w.blowfish, w.key, w.salt
	}
	expand := expanders[len(works)]
	sums := make([]string, len(works))
	for reached, round := 0, uint64(1); reached <= cost; round++ {
		expand(&lanes.states, &lanes.keys)
		expand(&lanes.states, &lanes.salts)
		if round%pauseEvery == 0 {
			pause()
		}
		if round != 1<<reached {
			continue
		}
		for i, w := range works {
			if w.cost == reached {
				sums[i] = lanes.states[i].sum()
			}
		}
		reached++
	}
	return sums
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
