package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"time"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
)

// The files of a certificate that the server makes. The private one has both parts,
// so that a renewal is one rename.
const (
	selfSignedFile = "tls-localhost.pem" // certificate and private key
	trustFile      = "tls-localhost.crt" // the certificate, for browsers and programs that must trust it
)

const (
	selfSignedFor = 820 * 24 * time.Hour // Apple's systems refuse more than 825 days
	renewBefore   = 30 * 24 * time.Hour
)

// selfSigned keeps a certificate for localhost in the data folder.
type selfSigned struct {
	folder *datadir.Folder
	log    *slog.Logger
	now    func() time.Time
}

// renew makes the certificate where there is none or it expires soon, and the file
// that others trust where it differs.
func (s *selfSigned) renew(ctx context.Context) error {
	if s.complete() {
		return nil
	}
	w, err := s.folder.Lock(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	pair, err := s.folder.ReadPrivate(selfSignedFile) // another process may have made it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || s.expires(pair) {
		if pair, err = s.generate(); err != nil {
			return err
		}
		if err := w.WritePrivate(selfSignedFile, pair); err != nil {
			return err
		}
		s.log.Info("made a self-signed TLS certificate", "file", s.folder.Join(selfSignedFile))
	}
	cert, err := certificateOf(pair)
	if err != nil {
		return s.unusable(err)
	}
	return w.WritePublic(trustFile, cert)
}

// complete reports whether renew has nothing to do. What cannot be read is not
// complete: renew says why.
func (s *selfSigned) complete() bool {
	pair, err := s.folder.ReadPrivate(selfSignedFile)
	if err != nil || s.expires(pair) {
		return false
	}
	cert, err := certificateOf(pair)
	if err != nil {
		return false
	}
	trusted, err := s.folder.ReadPublic(trustFile)
	return err == nil && bytes.Equal(trusted, cert)
}

// expires reports whether the certificate ends soon. One that is damaged does not: it
// is not replaced, since programs trust it.
func (s *selfSigned) expires(pair []byte) bool {
	loaded, err := tls.X509KeyPair(pair, pair)
	return err == nil && s.now().After(loaded.Leaf.NotAfter.Add(-renewBefore))
}

func (s *selfSigned) unusable(cause error) error {
	return fault.New(fault.Invalid, "tls_file", fmt.Sprintf(
		"%s cannot be used: %v; remove it, so that another one is made", s.folder.Join(selfSignedFile), cause))
}

// generate makes a certificate that is no authority: a program that trusts it trusts this
// server under these names and nothing else.
func (s *selfSigned) generate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{ // with a random serial number
		Subject:     pkix.Name{CommonName: "localhost", Organization: []string{"pico-auth, self-signed"}},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   s.now().Add(-time.Hour), NotAfter: s.now().Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// certificateOf returns the first part of the private file.
func certificateOf(pair []byte) ([]byte, error) {
	if _, err := tls.X509KeyPair(pair, pair); err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(pair); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return pem.EncodeToMemory(block), nil
		}
	}
	return nil, errors.New("it has no certificate")
}
