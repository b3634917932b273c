package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// maxAttempts bounds how often Open starts over because another replica was
// faster. Whoever lost finds the winner's key, so two are the rule.
const maxAttempts = 10

// Open loads the active key and makes one where there is none at all. Where the
// active key is of another algorithm than cfg's it begins the rotation to that
// one. The first Open after an adoption decides which key keeps the original's
// id. An active key that is recorded and not to be had is refused, never
// replaced. Errors are sentences fit for a terminal.
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

// opener knows where keys come from, and how long they live.
type opener struct {
	folder     folder
	files      pairFiles    // of the configured algorithm
	store      *store.Store // nil: nothing is recorded
	master     *seal.Master // nil: none was given
	atRest     AtRest
	rsaBits    int
	adopted    string // thumbprint of the adopted key; empty: none
	looking    bool   // for Load
	secretOnly bool   // for Desk.Keys: whether private halves are to be had; the public files beside them do not count
	log        *slog.Logger

	publishAhead time.Duration // a key is published so long before it signs
	rotateEvery  time.Duration // zero: never by itself
	tokenLife    time.Duration
	leeway       time.Duration // of those who verify, and of replicas that have not yet seen a change

	now       func() time.Time     // the wall's clock
	monotonic func() time.Duration // the clock that nobody sets
}

func newOpener(cfg Config) (*opener, error) {
	files, err := filesOf(cfg.Algorithm)
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, fault.New(fault.Invalid, "data_dir", "auth.data_dir is empty; it must name the folder of the signing keys")
	}
	cfg = cfg.withDefaults()
	if cfg.AtRest == Sealed && (cfg.Master == nil || cfg.Store == nil) {
		return nil, fault.New(fault.Invalid, "at_rest", "keys.at_rest is sealed, which needs auth.master_key")
	}
	return &opener{
		folder: folder{path: cfg.Dir, log: cfg.Log}, files: files, store: cfg.Store, master: cfg.Master,
		atRest: cfg.AtRest, rsaBits: cfg.RSABits, log: cfg.Log,
		publishAhead: cfg.PublishAhead, rotateEvery: cfg.RotateEvery, tokenLife: cfg.TokenLife, leeway: cfg.Leeway,
		now: cfg.Now, monotonic: cfg.Monotonic,
	}, nil
}

// inDatabase reports where new private keys are kept.
func (o *opener) inDatabase() bool { return o.atRest == Sealed }

// inside runs do with the folder ready, and other processes kept out of it.
func (o *opener) inside(ctx context.Context, do func(*opener) error) error {
	here := *o // what is found out about the folder is of this visit
	leave, err := here.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return do(&here)
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
	begin := o.monotonic()
	set, adopted, err := o.recorded(ctx)
	if err != nil {
		return nil, err
	}
	ring := &Ring{opener: o, checking: make(chan struct{}, 1), holder: rand.Text()}
	ring.seen.Store(int64(begin))
	var signing *jose.PrivateKey
	if active := set.Active(); active != nil {
		signing, err = o.private(*active)
	} else {
		signing, set, err = o.first(ctx, ring, set, &adopted)
	}
	if err != nil {
		return nil, err
	}
	if set, err = o.keepUp(ctx, set, adopted.Thumbprint); err != nil {
		return nil, err
	}
	if active := set.Active(); active == nil || !o.belongs(signing, *active) {
		// Another replica let a key sign since signing was read, and this one
		// would sign with the former key under the id of the new one.
		return nil, store.ErrKeysChanged
	}
	h, err := o.hold(set, signing)
	if err != nil {
		return nil, err
	}
	if h.legacy, err = o.legacyHashKey(ctx, adopted.Thumbprint, set); err != nil {
		return nil, err
	}
	ring.held.Store(h)
	return ring, nil
}

// belongs reports whether a private key is that of the row.
func (o *opener) belongs(key *jose.PrivateKey, row store.SigningKey) bool {
	public, _, err := o.publicHalf(row)
	return err == nil && key.Algorithm() == public.Algorithm() && key.Public().Thumbprint() == public.Thumbprint()
}

// keepUp brings recorded keys to what is configured now.
func (o *opener) keepUp(ctx context.Context, set store.KeySet, adopted string) (_ store.KeySet, err error) {
	if o.store == nil || o.looking {
		return set, nil
	}
	if set, err = o.moveIn(ctx, set); err != nil {
		return set, err
	}
	if set, err = o.steer(ctx, set, adopted); err != nil {
		return set, err
	}
	if err := o.raise(ctx, set); err != nil {
		return set, err
	}
	o.arrange(set)
	o.tryOthers(set)
	o.tellOrphans(set)
	o.tellOfClocks(set)
	return o.store.SigningKeys(ctx)
}

// raise notes, before it does so, that this server signs with the active key.
func (o *opener) raise(ctx context.Context, set store.KeySet) error {
	if o.store == nil || o.looking {
		return nil
	}
	for _, row := range set.Keys {
		signs := row.Status == store.KeyActive || row.Status == store.KeyRetiring && row.TokenLife == 0
		if signs && row.TokenLife < o.tokenLife {
			if err := o.store.RaiseTokenLife(ctx, row.KID, o.tokenLife); err != nil {
				return fmt.Errorf("note how long tokens of %s live: %w", row.KID, err)
			}
		}
	}
	return nil
}

// first finds the key to begin with where none is active: the one that was to
// be next, a pair in the folder, or a new one.
func (o *opener) first(ctx context.Context, ring *Ring, set store.KeySet, adopted *store.AdoptedKey) (*jose.PrivateKey, store.KeySet, error) {
	if next := set.Next(); next != nil {
		signing, err := o.private(*next)
		if err != nil {
			return nil, set, err
		}
		next.Status = store.KeyActive
		set, err = o.put(ctx, set, store.KeyChange{SigningKey: *next, Act: own(identity.ActionKeyActivate)})
		return signing, set, err
	}
	signing, err := o.find(set)
	if err != nil {
		return nil, set, err
	}
	if *adopted, err = o.decide(ctx, *adopted, signing); err != nil {
		return nil, set, err
	}
	o.adopted = adopted.Thumbprint
	if signing == nil && o.store != nil && len(set.Keys) == 0 {
		// A key of another algorithm is no reason for a break: it signs until one
		// of the configured algorithm has been published long enough.
		other, _, err := o.findOther()
		if err != nil {
			return nil, set, err
		}
		signing = other.key
	}
	if ring.created = signing == nil; ring.created {
		if signing, err = o.create(set); err != nil {
			return nil, set, err
		}
	}
	set, err = o.begin(ctx, set, signing, ring.created, adopted.Thumbprint)
	return signing, set, err
}

// find returns the pair of the configured algorithm that lies in the folder, nil
// when there is none, or one that has had its time.
func (o *opener) find(set store.KeySet) (*jose.PrivateKey, error) {
	pair, err := o.load(o.files, makeAnew)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // absence is a state here, and the next step creates
	}
	if err == nil && o.byThumbprint(set, o.files.algorithm, pair.key.Public().Thumbprint()) != nil {
		return nil, nil //nolint:nilnil // the same
	}
	if err == nil {
		if err = pair.key.Check(); err != nil { // it comes from outside, and is looked at this once
			err = unusable(o.folder.join(o.files.private), err, makeAnew)
		}
	}
	return pair.key, err
}

// create makes a key of the configured algorithm, and commits it where keys are
// files. A public file without its private one is what a crash leaves behind,
// or a loss that nothing can undo; either way it is said.
func (o *opener) create(set store.KeySet) (*jose.PrivateKey, error) {
	if o.looking {
		return nil, fault.New(fault.NotFound, "no_signing_key",
			fmt.Sprintf("there is no signing key yet in %s; the first start of the server makes it", o.folder.path))
	}
	key, err := generate(o.files.algorithm, o.rsaBits)
	if err != nil {
		return nil, err
	}
	if len(set.Keys) > 0 && o.folder.exists(o.files.private) {
		// Those names are taken; arrange sees to it.
		return key, o.stow(&store.SigningKey{KID: key.Public().Thumbprint()}, key)
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

// stow commits the private half of a key that is about to be recorded: into its
// row, or a file of its own.
func (o *opener) stow(row *store.SigningKey, key *jose.PrivateKey) (err error) {
	if o.inDatabase() {
		row.Sealed, err = o.sealed(row.KID, key)
		return err
	}
	files, err := filesOf(key.Algorithm())
	if err != nil {
		return err
	}
	secret, _, err := files.encode(key)
	if err != nil {
		return fmt.Errorf("encode a signing key: %w", err)
	}
	return o.keep(row.KID, files, secret)
}

// generate makes a key whose id is no flag on a command line: of 64 thumbprints
// one begins with a dash, and that key is given up for another. rsaBits counts for
// RSA only.
func generate(algorithm jose.Algorithm, rsaBits int) (*jose.PrivateKey, error) {
	for {
		key, err := jose.GenerateRSA(algorithm, rsaBits)
		if errors.Is(err, jose.ErrAlgorithm) {
			key, err = jose.Generate(algorithm)
		}
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		if !strings.HasPrefix(key.Public().Thumbprint(), "-") {
			return key, nil
		}
	}
}
