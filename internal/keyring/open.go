package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Open loads the pair of cfg.Algorithm from cfg.Dir, and creates folder and
// pair where there is none. The first Open after an adoption decides which key
// keeps the original's id. Errors are sentences fit for a terminal.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	o, err := newOpener(cfg)
	if err != nil {
		return nil, err
	}
	if err := o.folder.prepare(); err != nil {
		return nil, err
	}
	unlock, err := o.folder.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	o.folder.sweep()

	adopted, err := o.adoptedKey(ctx)
	if err != nil {
		return nil, err
	}
	key, err := o.loadActive()
	if err != nil {
		return nil, err
	}
	if adopted.Pending {
		if adopted, err = o.decideAdoption(ctx, key); err != nil {
			return nil, err
		}
	}
	created := key == nil
	if created {
		if key, err = o.create(); err != nil {
			return nil, err
		}
	}
	ring, err := o.ring(key, adopted.Thumbprint)
	if err != nil {
		return nil, err
	}
	ring.created = created
	ring.legacy, err = o.legacyHashKey(adopted.Thumbprint, ring.keys)
	return ring, err
}

// Load is Open for commands that only look: it creates, changes and decides
// nothing, and a missing key is an error.
func Load(ctx context.Context, cfg Config) (*Ring, error) {
	o, err := newOpener(cfg)
	if err != nil {
		return nil, err
	}
	o.folder.readOnly = true
	adopted, err := o.adoptedKey(ctx)
	if err != nil {
		return nil, err
	}
	key, err := o.loadActive()
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fault.New(fault.NotFound, "no_signing_key",
			fmt.Sprintf("there is no signing key yet in %s; the first start of the server makes it", cfg.Dir))
	}
	thumbprint := adopted.Thumbprint
	if adopted.Pending {
		thumbprint = key.Public().Thumbprint() // what Open will decide
	}
	return o.ring(key, thumbprint)
}

// opener is the work of one Open or Load.
type opener struct {
	folder  folder
	files   pairFiles
	adopted *store.Store
	log     *slog.Logger
}

func newOpener(cfg Config) (*opener, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	files, err := filesOf(cfg.Algorithm)
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, fault.New(fault.Invalid, "data_dir", "auth.data_dir is empty; it must name the folder of the signing keys")
	}
	return &opener{folder: folder{path: cfg.Dir, log: log}, files: files, adopted: cfg.Adopted, log: log}, nil
}

func (o *opener) adoptedKey(ctx context.Context) (store.AdoptedKey, error) {
	if o.adopted == nil {
		return store.AdoptedKey{}, nil
	}
	adopted, err := o.adopted.AdoptedKey(ctx)
	if err != nil {
		return adopted, fmt.Errorf("read which key was adopted: %w", err)
	}
	return adopted, nil
}

// loadActive returns the pair of the configured algorithm, nil when its
// private file does not exist.
func (o *opener) loadActive() (*jose.PrivateKey, error) {
	key, err := o.load(o.files)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // absence is a state here, and the next step creates
	}
	return key, err
}

// create makes the pair of the configured algorithm and commits it. A public
// file without its private one is what a crash leaves behind, or a loss that
// nothing can undo; either way it is said.
func (o *opener) create() (*jose.PrivateKey, error) {
	if o.folder.exists(o.files.public) {
		o.log.Warn("replacing a public key that has no private key beside it", "file", o.folder.join(o.files.public))
	}
	key, err := jose.Generate(o.files.algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	secret, public, err := o.files.encode(key)
	if err != nil {
		return nil, fmt.Errorf("encode a signing key: %w", err)
	}
	if err := o.folder.writePair(o.files, secret, public); err != nil {
		return nil, err
	}
	o.log.Info("made a signing key", "algorithm", key.Algorithm(), "thumbprint", key.Public().Thumbprint(),
		"file", o.folder.join(o.files.private))
	return key, nil
}

// ring puts the active key first and beside it, for tokens signed before a
// change of auth.algorithm, an RSA pair of the same folder. ML-DSA keys are
// never published beside another active key: many clients refuse a whole set
// for one key type that they do not know.
func (o *opener) ring(active *jose.PrivateKey, adopted string) (*Ring, error) {
	kid := func(key *jose.PublicKey) string {
		if thumbprint := key.Thumbprint(); thumbprint != adopted {
			return thumbprint
		}
		return AdoptedKID
	}
	info := func(files pairFiles, key *jose.PublicKey, status Status) KeyInfo {
		return KeyInfo{kid(key), key.Algorithm(), key.Thumbprint(), status, o.folder.join(files.private)}
	}
	public := active.Public()
	r := &Ring{
		signer: jose.NewSigner(active, kid(public)),
		keys:   []KeyInfo{info(o.files, public, Active)},
	}
	set := jose.JWKSet{Keys: []jose.JWK{public.JWK(kid(public))}}
	if o.files != rsaFiles {
		former, err := o.load(rsaFiles)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if former != nil {
			r.keys = append(r.keys, info(rsaFiles, former.Public(), VerifyOnly))
			set.Keys = append(set.Keys, former.Public().JWK(kid(former.Public())))
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode the key set: %w", err)
	}
	sum := sha256.Sum256(body)
	r.jwks, r.etag = slices.Clip(body), `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`
	return r, nil
}
