package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxPEM is far above the 13 KB of an 8192-bit RSA key.
const maxPEM = 64 << 10

// A FormError is a private key in a form that [ParsePrivatePEM] does not read and
// that a tool can convert. It is for an operator who imports a key; for a damaged
// file of this server the remedy is of no use.
type FormError struct {
	reason string
	Remedy string // names the command
}

func (e *FormError) Error() string { return e.reason }

// converting is the command that converts any file with a private key to a form
// that is read here.
const converting = "`openssl pkey -in FILE -out new.pem` writes the one private key of a file as it is read"

// namingCurve is the same for a key with explicit curve parameters, which
// converting leaves unchanged.
const namingCurve = "`openssl ec -in FILE -param_enc named_curve -out new.pem` writes an EC key as it is read, with the name of its curve"

// ParsePrivatePEM reads the one private key in data: PKCS #8 or, as older tools
// wrote it, PKCS #1 or SEC 1, the latter also after its EC PARAMETERS. It must be
// of the kind that name signs with. Whether the numbers of an RSA key are primes
// is left to [PrivateKey.Check]. The error may hold a [FormError].
func ParsePrivatePEM(name Algorithm, data []byte) (*PrivateKey, error) {
	row, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if row.standardPrivate == nil {
		return nil, fmt.Errorf("%w: %s keys have no PEM form", ErrKey, row.name)
	}
	block, err := onlyBlock(withoutParameters(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, &FormError{err.Error(), converting})
	}
	parsed, err := parsePrivateBlock(row, block)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	half, err := row.standardPrivate(parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newPrivateKey(row, half), nil
}

// withoutParameters is data without the block that `openssl ecparam -genkey`
// writes before a key, which names its curve again.
func withoutParameters(data []byte) []byte {
	if len(data) > maxPEM {
		return data
	}
	if block, rest := pem.Decode(data); block != nil && block.Type == "EC PARAMETERS" &&
		bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN EC PARAMETERS-----")) {
		return rest
	}
	return data
}

// parsePrivateBlock relies on crypto/x509 for the consistency of a key's numbers:
// it checks those of RSA, and for the others it derives the public half again and
// ignores that of the file. Proving it with a signature would cost more.
func parsePrivateBlock(row *algorithm, block *pem.Block) (key any, err error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, &FormError{"an encrypted private key; it must be stored unencrypted", converting}
	}
	var form string
	switch block.Type {
	case "PRIVATE KEY":
		form = "PKCS #8"
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		form = "PKCS #1"
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		form = "SEC 1 on a curve that is known by name"
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("no private key but a public one")
	case "CERTIFICATE", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return nil, errors.New("no private key but a certificate, which has a public one")
	case "EC PARAMETERS":
		return nil, errors.New("no private key but the parameters of one")
	case "OPENSSH PRIVATE KEY":
		return nil, &FormError{"a private key as OpenSSH writes it", leavingOpenSSH(row)}
	default:
		return nil, &FormError{"a PEM block of a type that is not understood", converting}
	}
	if err != nil || !oneValue(block.Bytes) {
		remedy := converting
		if row.kty == "EC" || block.Type == "EC PRIVATE KEY" {
			remedy = namingCurve
		}
		return nil, &FormError{"not a private key in " + form, remedy}
	}
	return key, nil
}

// leavingOpenSSH is the command that converts a key in OpenSSH's own form. Ed25519
// keys are always written in that form, and no other tool reads it.
func leavingOpenSSH(row *algorithm) string {
	if row.crv == "Ed25519" {
		return "an Ed25519 key stays so; make another with `openssl genpkey -algorithm ed25519 -out new.pem`"
	}
	return "`ssh-keygen -p -m PKCS8 -f FILE` rewrites a file with an RSA or ECDSA key as it is read"
}

// oneValue reports whether der ends where its first value does. Of the forms that
// crypto/x509 reads, PKCS #8 and SEC 1 may have something after it.
func oneValue(der []byte) bool {
	var value asn1.RawValue
	rest, err := asn1.Unmarshal(der, &value)
	return err == nil && len(rest) == 0
}

// MarshalPEM returns the key as PKCS #8. ML-DSA keys have no PEM form here;
// see MarshalExpanded.
func (k *PrivateKey) MarshalPEM() ([]byte, error) {
	standard, ok := k.key.(standardKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s keys have no PEM form", ErrKey, k.Algorithm())
	}
	der, err := x509.MarshalPKCS8PrivateKey(standard.standard())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePublicPEM reads the one public key in data. It must be of the kind that
// name verifies with.
func ParsePublicPEM(name Algorithm, data []byte) (*PublicKey, error) {
	row, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if row.standardPublic == nil {
		return nil, fmt.Errorf("%w: %s keys have no PEM form", ErrKey, row.name)
	}
	block, err := onlyBlock(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: no public key", ErrKey)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: not a public key", ErrKey)
	}
	half, err := row.standardPublic(parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newPublicKey(row, half), nil
}

// MarshalPEM returns the key as a SubjectPublicKeyInfo. ML-DSA keys have no
// PEM form here.
func (k *PublicKey) MarshalPEM() ([]byte, error) {
	standard, ok := k.key.(standardKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s keys have no PEM form", ErrKey, k.Algorithm())
	}
	der, err := x509.MarshalPKIXPublicKey(standard.standard())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// onlyBlock returns the PEM block that data consists of. With a second one it would
// be unclear which key is meant.
func onlyBlock(data []byte) (*pem.Block, error) {
	if len(data) > maxPEM {
		return nil, errors.New("too long to be a key")
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no complete PEM block")
	}
	if len(bytes.TrimSpace(rest)) > 0 || bytes.Count(data, []byte("-----BEGIN")) > 1 {
		return nil, errors.New("more than one PEM block")
	}
	return block, nil
}
