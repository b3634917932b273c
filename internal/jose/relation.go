package jose

import (
	"bytes"
	"crypto/sha3"
	"errors"
	"math/bits"
	"slices"
)

// An expanded ML-DSA private key repeats values that follow from its own secrets:
// the low half t0 of the public vector and the hash tr of the public key. A
// flipped bit there leaves a key that signs and whose signatures sometimes fail.
// One test signature does not find that; computing t = A*s1 + s2 once
// more does (FIPS 204, algorithm 6). Names are those of the standard.

// shape is the part of an ML-DSA parameter set that decides how keys look.
type shape struct {
	k, l int // rows and columns of A
	eta  int // coefficients of s1 and s2 are within [-eta, eta]
}

const (
	ringQ = 8380417 // the modulus
	ringN = 256     // coefficients of a polynomial
	lowD  = 13      // bits of t that t0 holds

	rhoSize = 32
	trStart = 64 // after rho and K
	s1Start = 128
)

type polynomial [ringN]uint32 // coefficients modulo ringQ

var errRelation = errors.New("its parts do not belong together")

// checkRelation reports whether everything in an encoded private key but its
// random seed K follows from rho, s1 and s2, and whether public is their
// public key. The sizes of both are right already.
func (sh shape) checkRelation(secret, public []byte) error {
	rho, tr, rest := secret[:rhoSize], secret[trStart:s1Start], secret[s1Start:]
	s1, rest, okS1 := sh.unpackShort(rest, sh.l)
	s2, t0, okS2 := sh.unpackShort(rest, sh.k)
	if !okS1 || !okS2 {
		return errRelation
	}
	if !bytes.Equal(tr, sha3.SumSHAKE256(public, len(tr))) || !bytes.Equal(rho, public[:rhoSize]) {
		return errRelation
	}
	for i := range s1 {
		s1[i].ntt()
	}
	t1 := public[rhoSize:]
	for row := range sh.k {
		t := productRow(rho, row, s1)
		t.add(&s2[row])
		if !t.rounds(t0[row*ringN*lowD/8:], t1[row*ringN*10/8:]) {
			return errRelation
		}
	}
	return nil
}

// unpackShort reads count polynomials of small coefficients, stored as
// eta - c. Not every bit pattern is one.
func (sh shape) unpackShort(data []byte, count int) (polys []polynomial, rest []byte, ok bool) {
	width := bits.Len(uint(2 * sh.eta))
	size := ringN * width / 8
	polys, ok = make([]polynomial, count), true
	for i := range polys {
		for j := range polys[i] {
			z := bitsAt(data[i*size:], j, width)
			ok = ok && z <= uint32(2*sh.eta)                   //nolint:gosec // 2 or 4
			polys[i][j] = (ringQ + uint32(sh.eta) - z) % ringQ //nolint:gosec // 2 or 4
		}
	}
	return polys, data[count*size:], ok
}

// rounds reports whether t0 and t1 are the halves that Power2Round makes of t.
func (t *polynomial) rounds(t0, t1 []byte) bool {
	const half = 1 << (lowD - 1)
	for i, c := range t {
		high := (c + half - 1) >> lowD
		low := half - (c - high<<lowD) // as stored: 2^12 - c0, never negative
		if bitsAt(t1, i, 10) != high || bitsAt(t0, i, lowD) != low {
			return false
		}
	}
	return true
}

// bitsAt reads the i-th little-endian field of width bits; width is at most 13.
func bitsAt(data []byte, i, width int) uint32 {
	at := i * width
	var window uint32
	for j := 0; j < 3 && at/8+j < len(data); j++ {
		window |= uint32(data[at/8+j]) << (8 * j)
	}
	return window >> (at % 8) & (1<<width - 1)
}

// productRow is row of A*s1, with s1 transformed and A expanded from rho.
func productRow(rho []byte, row int, s1 []polynomial) polynomial {
	var sum polynomial
	for column := range s1 {
		a := expandEntry(rho, row, column)
		for i := range sum {
			sum[i] = uint32((uint64(sum[i]) + uint64(a[i])*uint64(s1[column][i])) % ringQ)
		}
	}
	sum.inverseNTT()
	return sum
}

// expandEntry samples one entry of A, which is defined in transformed form.
func expandEntry(rho []byte, row, column int) polynomial {
	xof := sha3.NewSHAKE128()
	_, _ = xof.Write(rho)
	_, _ = xof.Write([]byte{byte(column), byte(row)}) //nolint:gosec // both below 8
	var a polynomial
	var block [168]byte // the rate of SHAKE128, a multiple of 3
	for filled := 0; filled < ringN; {
		_, _ = xof.Read(block[:])
		for triple := range slices.Chunk(block[:], 3) {
			c := uint32(triple[0]) | uint32(triple[1])<<8 | uint32(triple[2]&0x7f)<<16
			if c < ringQ && filled < ringN {
				a[filled] = c
				filled++
			}
		}
	}
	return a
}

func (t *polynomial) add(other *polynomial) {
	for i := range t {
		t[i] = (t[i] + other[i]) % ringQ
	}
}

func (t *polynomial) ntt() {
	m := 0
	for length := ringN / 2; length >= 1; length /= 2 {
		for start := 0; start < ringN; start += 2 * length {
			m++
			z := zeta(m)
			for j := start; j < start+length; j++ {
				x := multiply(z, t[j+length])
				t[j+length] = (t[j] + ringQ - x) % ringQ
				t[j] = (t[j] + x) % ringQ
			}
		}
	}
}

func (t *polynomial) inverseNTT() {
	m := ringN
	for length := 1; length < ringN; length *= 2 {
		for start := 0; start < ringN; start += 2 * length {
			m--
			z := ringQ - zeta(m)
			for j := start; j < start+length; j++ {
				x := t[j]
				t[j] = (x + t[j+length]) % ringQ
				t[j+length] = multiply(z, x+ringQ-t[j+length])
			}
		}
	}
	const inverseN = 8347681 // 256^-1
	for i := range t {
		t[i] = multiply(inverseN, t[i])
	}
}

// zeta is 1753 to the power of m with its 8 bits reversed.
func zeta(m int) uint32 {
	power := uint32(1)
	base := uint32(1753)
	for e := bits.Reverse8(uint8(m)); e > 0; e >>= 1 { //nolint:gosec // m is below 256
		if e&1 == 1 {
			power = multiply(power, base)
		}
		base = multiply(base, base)
	}
	return power
}

func multiply(a, b uint32) uint32 {
	return uint32(uint64(a) * uint64(b) % ringQ)
}
