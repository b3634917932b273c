package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxAttempts bounds how often Open starts over because another replica was
// faster. Whoever lost finds the winner's key, so two are the rule.
const maxAttempts = 10

// Open loads the active key, makes one where there is none at all, and makes
// one of cfg.Algorithm the active one where another was. The first Open after
// an adoption decides which key keeps the original's id. An active key that is
// recorded and not to be had is refused, never replaced. Errors are sentences
// fit for a terminal.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	o, err := newOpener(cfg)
	if err != nil {
		return nil, err
	}
	leave, err := o.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for attempt := 1; ; attempt++ {
		ring, err := o.settle(ctx)
		if !errors.Is(err, store.ErrKeysChanged) || attempt == maxAttempts {
			return ring, err
		}
	}
}

// Load is Open for commands that only look: it creates, changes and decides
// nothing, and a missing key is an error.
func Load(ctx context.Context, cfg Config) (*Ring, error) {
	o, err := newOpener(cfg)
	if err != nil {
		return nil, err
	}
	o.looking, o.folder.readOnly = true, true
	return o.settle(ctx)
}

// opener knows where keys come from.
type opener struct {
	folder  folder
	files   pairFiles    // of the configured algorithm
	store   *store.Store // nil: nothing is recorded
	master  *seal.Master // nil: none was given
	looking bool         // for Load
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
	return &opener{folder: folder{path: cfg.Dir, log: log}, files: files, store: cfg.Store, master: cfg.Master, log: log}, nil
}

// inDatabase reports where private keys are kept. One SQLite file beside one
// folder gains nothing from sealing, and the original could read the files.
func (o *opener) inDatabase() bool {
	return o.master != nil && o.store != nil && o.store.Engine() == "postgres"
}

// enter gets the folder ready and keeps other processes out of it. Where keys
// are in the database the folder is only read, if there is one.
func (o *opener) enter(ctx context.Context) (leave func(), err error) {
	if o.inDatabase() {
		o.folder.readOnly = true
		return func() {}, nil
	}
	if err := o.folder.prepare(); err != nil {
		return nil, err
	}
	if leave, err = o.folder.lock(ctx); err != nil {
		return nil, err
	}
	o.folder.sweep()
	return leave, nil
}

// settle makes what is recorded and what is there agree, once.
func (o *opener) settle(ctx context.Context) (*Ring, error) {
	set, adopted, err := o.recorded(ctx)
	if err != nil {
		return nil, err
	}
	ring := &Ring{opener: o}
	active := set.Active()
	var signing *jose.PrivateKey
	if active != nil {
		if signing, err = o.private(*active); err != nil {
			return nil, err
		}
	}
	if active == nil || jose.Algorithm(active.Algorithm) != o.files.algorithm && !o.looking {
		if signing, err = o.find(set); err != nil {
			return nil, err
		}
		if adopted, err = o.decide(ctx, adopted, signing); err != nil {
			return nil, err
		}
		ring.created = signing == nil
		if ring.created {
			if signing, err = o.create(); err != nil {
				return nil, err
			}
		}
	}
	if set, err = o.record(ctx, set, signing, adopted.Thumbprint); err != nil {
		return nil, err
	}
	h, err := o.hold(set, signing)
	if err != nil {
		return nil, err
	}
	if h.legacy, err = o.legacyHashKey(ctx, adopted.Thumbprint, h.infos); err != nil {
		return nil, err
	}
	ring.held.Store(h)
	return ring, nil
}

// find returns a key of the configured algorithm that is there already: one
// that was active before, or the pair in the folder; nil when there is none.
func (o *opener) find(set store.KeySet) (*jose.PrivateKey, error) {
	for _, row := range slices.Backward(set.Keys) {
		if jose.Algorithm(row.Algorithm) == o.files.algorithm && row.Sealed != "" {
			return o.private(row)
		}
	}
	key, err := o.load(o.files)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // absence is a state here, and the next step creates
	}
	return key, err
}

// create makes a key of the configured algorithm, and commits it where keys are
// files. A public file without its private one is what a crash leaves behind,
// or a loss that nothing can undo; either way it is said.
func (o *opener) create() (*jose.PrivateKey, error) {
	if o.looking {
		return nil, fault.New(fault.NotFound, "no_signing_key",
			fmt.Sprintf("there is no signing key yet in %s; the first start of the server makes it", o.folder.path))
	}
	key, err := jose.Generate(o.files.algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	if o.inDatabase() {
		o.log.Info("made a signing key", "algorithm", key.Algorithm(), "thumbprint", key.Public().Thumbprint(), "place", "database")
		return key, nil
	}
	if o.folder.exists(o.files.public) {
		o.log.Warn("replacing a public key that has no private key beside it", "file", o.folder.join(o.files.public))
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
