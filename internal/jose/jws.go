package jose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"
)

// MaxToken is the size in bytes above which a token is refused without being parsed. An
// ML-DSA-87 signature alone has 6,170 characters.
const MaxToken = 16 << 10

// Types of token that Verify accepts in typ; Header.Type says which it was.
const (
	TypeJWT         = "JWT"
	TypeAccessToken = "at+jwt" // RFC 9068
)

// TypeLogoutToken is the type of a token that tells a client of a logout (OpenID Connect
// Back-Channel Logout 2.4). Verify refuses it: it is not a credential.
const TypeLogoutToken = "logout+jwt" //nolint:gosec // no secret

// Header is what a token's header may say.
type Header struct {
	Algorithm Algorithm // an alias resolved
	KeyID     string    // empty: none
	Type      string    // TypeJWT or TypeAccessToken
}

// Signer makes compact tokens with one key. It is immutable, so any number of
// callers may sign concurrently without waiting for each other.
type Signer struct {
	key                 *PrivateKey
	jwt, access, logout string // the encoded headers and their dot, the same for every token of a type
}

// NewSigner returns a Signer whose tokens name kid.
func NewSigner(key *PrivateKey, kid string) *Signer {
	prefix := func(typ string) string {
		header, err := json.Marshal(struct {
			Alg Algorithm `json:"alg"`
			Kid string    `json:"kid,omitempty"`
			Typ string    `json:"typ"`
		}{key.Algorithm(), kid, typ})
		if err != nil {
			panic(err) // three strings always marshal
		}
		return encode(header) + "."
	}
	return &Signer{key, prefix(TypeJWT), prefix(TypeAccessToken), prefix(TypeLogoutToken)}
}

// Sign returns the compact token of payload, of type JWT. The payload is usually
// a JSON object of claims; Sign does not parse it.
func (s *Signer) Sign(payload []byte) (string, error) { return s.sign(s.jwt, payload) }

// SignAs is Sign for a token of the type: TypeJWT, TypeAccessToken or TypeLogoutToken.
func (s *Signer) SignAs(typ string, payload []byte) (string, error) {
	return s.sign(s.prefix(typ), payload)
}

// Size is the length of a token of the type whose payload has so many bytes.
func (s *Signer) Size(typ string, payload int) int {
	return len(s.prefix(typ)) + base64.RawURLEncoding.EncodedLen(payload) + 1 + base64.RawURLEncoding.EncodedLen(s.key.public.key.signatureSize())
}

func (s *Signer) prefix(typ string) string {
	switch typ {
	case TypeAccessToken:
		return s.access
	case TypeLogoutToken:
		return s.logout
	}
	return s.jwt
}

func (s *Signer) sign(prefix string, payload []byte) (string, error) {
	size := len(prefix) + base64.RawURLEncoding.EncodedLen(len(payload))
	token := make([]byte, size+1+base64.RawURLEncoding.EncodedLen(s.key.public.key.signatureSize()))
	encodeInto(token[copy(token, prefix):size], payload)
	signature, err := s.key.key.sign(token[:size])
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", s.key.Algorithm(), err)
	}
	token[size] = '.'
	encodeInto(token[size+1:], signature)
	// It is not written to again, and a copy would cost a fifth of the work done
	// here for an ML-DSA token.
	return unsafe.String(&token[0], len(token)), nil //nolint:gosec // as strings.Builder does
}

// Verify returns the payload of a compact token after checking its signature
// with the key that the lookup returns for its header. The lookup chooses by
// KeyID alone; the header's algorithm must then be the key's own.
//
// Everything else in the header is ignored, in particular keys that it embeds or
// points to; only the presence of crit is refused: this package understands no
// extension. A lookup's error passes through, wrapped.
func Verify(token string, key func(Header) (*PublicKey, error)) (payload []byte, h Header, err error) {
	return (*Memory)(nil).Verify(token, key)
}

// Verify is the function Verify, with the signatures that m remembers.
func (m *Memory) Verify(token string, key func(Header) (*PublicKey, error)) (payload []byte, h Header, err error) {
	parts, err := split(token)
	if err != nil {
		return nil, Header{}, err
	}
	h, err = parseHeader(parts.header)
	if err != nil {
		return nil, Header{}, err
	}
	if h.Type != TypeJWT && h.Type != TypeAccessToken {
		return nil, Header{}, fmt.Errorf("%w: typ is not %s", ErrMalformed, TypeJWT)
	}
	payload, err = parts.open(h, key, m)
	return payload, h, err
}

// VerifyAssertion is Verify for a token that a client made to authenticate itself (RFC
// 7523). Its typ is missing, TypeJWT or client-authentication+jwt.
func VerifyAssertion(token string, key func(Header) (*PublicKey, error)) (payload []byte, err error) {
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(parts.header)
	if err != nil {
		return nil, err
	}
	if h.Type != "" && h.Type != TypeJWT && h.Type != "client-authentication+jwt" {
		return nil, fmt.Errorf("%w: typ is not of a client assertion", ErrMalformed)
	}
	return parts.open(h, key, nil)
}

// open checks the signature of a token whose header is h and decodes its
// payload.
func (c compact) open(h Header, key func(Header) (*PublicKey, error), m *Memory) ([]byte, error) {
	public, err := key(h)
	if err != nil {
		return nil, fmt.Errorf("find the token's key: %w", err)
	}
	if public == nil {
		return nil, fmt.Errorf("%w: no key of this id", ErrKey)
	}
	if h.Algorithm != public.Algorithm() {
		return nil, fmt.Errorf("%w: the key's is %s", ErrAlgorithm, public.Algorithm())
	}
	if err := m.verify(c, public); err != nil {
		return nil, err
	}
	payload, err := decode(c.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	return payload, nil
}

// Inspect returns a token's decoded header and payload and verifies only the
// shape. It is for displaying a token, never for a decision.
func Inspect(token string) (header, payload []byte, err error) {
	parts, err := split(token)
	if err != nil {
		return nil, nil, err
	}
	if header, err = decode(parts.header); err != nil {
		return nil, nil, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if payload, err = decode(parts.payload); err != nil {
		return nil, nil, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	if _, err = decode(parts.signature); err != nil {
		return nil, nil, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	return header, payload, nil
}

// compact is a token cut at its dots, each part still encoded.
type compact struct {
	token                      string // the whole
	input                      string // what is signed: header, dot, payload
	header, payload, signature string
}

func split(token string) (compact, error) {
	if len(token) > MaxToken {
		return compact{}, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxToken)
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found || strings.Contains(signature, ".") {
		return compact{}, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	input := token[:len(header)+1+len(payload)]
	return compact{token, input, header, payload, signature}, nil
}

// verify checks the length before anything is computed from the signature.
func (c compact) verify(public *PublicKey) error {
	if err := c.checkLength(public); err != nil {
		return err
	}
	signature, err := decode(c.signature)
	if err != nil {
		return fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	if !public.key.verify(bytesOf(c.input), signature) {
		return ErrSignature
	}
	return nil
}

func (c compact) checkLength(public *PublicKey) error {
	if len(c.signature) != base64.RawURLEncoding.EncodedLen(public.key.signatureSize()) {
		return fmt.Errorf("%w: wrong length", ErrSignature)
	}
	return nil
}

// bytesOf is the text itself, read only: a copy of an ML-DSA token would be most of
// the cost of verifying a remembered one.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // hashing and verification only read
}

func parseHeader(encoded string) (Header, error) {
	raw, err := decode(encoded)
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	members, err := ParseObject(raw)
	if err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	if _, found := members["crit"]; found {
		return Header{}, fmt.Errorf("%w: crit names extensions, and none is understood", ErrMalformed)
	}
	typ, _ := members["typ"].(string)
	kid, isString := members["kid"].(string)
	if _, found := members["kid"]; found && !isString {
		return Header{}, fmt.Errorf("%w: kid is not a string", ErrMalformed)
	}
	alg, _ := members["alg"].(string)
	name, err := ParseAlgorithm(alg)
	if err != nil {
		return Header{}, err
	}
	return Header{Algorithm: name, KeyID: kid, Type: typ}, nil
}
