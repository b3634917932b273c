package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/legacy"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// keeper reads the keys. A session changes them.
type keeper struct {
	store  *store.Store
	folder *vault.Folder
	rows   vault.Rows
	atRest AtRest
	policy lifecycle.Policy

	rsaBits   int
	log       *slog.Logger
	wall      func() time.Time
	monotonic func() time.Duration
}

func newKeeper(cfg Config) (*keeper, error) {
	if cfg.Dir == "" {
		return nil, fault.New(fault.Invalid, "data_dir", "auth.data_dir is empty; it must name the folder of the signing keys")
	}
	cfg = cfg.withDefaults()
	if cfg.AtRest == Sealed && cfg.Master == nil {
		return nil, fault.New(fault.Invalid, "at_rest", "keys.at_rest is sealed, which needs auth.master_key")
	}
	policy := cfg.policy()
	for _, algorithm := range append([]jose.Algorithm{policy.Default}, policy.Further...) {
		if _, err := vault.FilesOf(algorithm); err != nil {
			return nil, err
		}
	}
	return &keeper{
		store: cfg.Store, folder: vault.NewFolder(cfg.Dir, cfg.Log), rows: vault.Rows{Master: cfg.Master},
		atRest: cfg.AtRest, policy: policy, rsaBits: cfg.RSABits, log: cfg.Log, wall: cfg.Now, monotonic: cfg.Monotonic,
	}, nil
}

// now is the wall clock with the precision of the database.
func (k *keeper) now() time.Time { return k.wall().UTC().Truncate(time.Microsecond) }

// since is the time since a moment of the monotonic clock at which this process read
// the database.
func (k *keeper) since(moment *atomic.Int64) time.Duration {
	return k.monotonic() - time.Duration(moment.Load())
}

// keys is the recorded keys at one version.
type keys struct {
	store.KeySet // those whose rows can be used

	raw     store.KeySet // all of them
	adopted store.AdoptedKey
	known   map[string]vault.Key // of the set
	refused []refusal
}

// refusal is a row that is neither published nor used.
type refusal struct {
	row       store.SigningKey
	cause     error
	unchecked bool // it has no MAC, and no other fault
}

func (s *keys) add(k vault.Key) {
	if s.known == nil {
		s.known = map[string]vault.Key{}
	}
	s.Keys, s.known[k.KID] = append(s.Keys, k.SigningKey), k
}

// all returns the keys in the order of rows.
func (s *keys) all(rows []store.SigningKey) (all []vault.Key) {
	for _, row := range rows {
		all = append(all, s.known[row.KID])
	}
	return all
}

// refusedActive returns why a row with the status active is refused; nil: none is.
func (s *keys) refusedActive() error {
	for _, r := range s.refused {
		if r.row.Status == store.KeyActive {
			return r.cause
		}
	}
	return nil
}

// row finds a row, including a refused one.
func (s *keys) row(kid string) (store.SigningKey, error) {
	if row := s.Key(kid); row != nil {
		return *row, nil
	}
	for _, r := range s.refused {
		if r.row.KID == kid {
			return r.row, nil
		}
	}
	return store.SigningKey{}, errNoSuchKey
}

var errNoSuchKey = fault.New(fault.NotFound, "not_found", "unknown signing key; `pico-auth key list --all` shows the IDs")

// load reads the recorded keys. A row that does not match its key, or in sealed mode is
// not authentic, is refused; the other rows are used.
func (k *keeper) load(ctx context.Context) (*keys, error) {
	s := &keys{}
	var err error
	if s.adopted, err = k.store.AdoptedKey(ctx); err != nil {
		return nil, fmt.Errorf("read which key was adopted: %w", err)
	}
	set, err := k.store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	s.Version, s.raw = set.Version, set
	for _, row := range set.Keys {
		if lifecycle.Rank(row.Status) < 0 { // otherwise an active key with an edited status would be replaced silently
			return nil, vault.Unusable(row, fmt.Errorf("its status is %q", string(row.Status)))
		}
		parsed, err := vault.Parse(row, s.adopted.Thumbprint)
		unchecked := err == nil && k.atRest == Sealed && row.MAC == ""
		if err == nil && k.atRest == Sealed {
			err = k.authentic(parsed)
		}
		if err != nil {
			s.refused = append(s.refused, refusal{row, err, unchecked})
			continue
		}
		s.add(parsed)
	}
	return s, nil
}

// authentic refuses a row that was written without the master key. If the row is under
// another master key, the error of its private half is more precise.
func (k *keeper) authentic(key vault.Key) error {
	err := k.rows.Verify(key.SigningKey)
	if err == nil {
		return nil
	}
	if errors.Is(err, vault.ErrOtherMaster) {
		if _, sealed := k.rows.Load(key); key.Sealed != "" && sealed != nil {
			return sealed
		}
		return fault.New(fault.Invalid, "master_key", fmt.Sprintf(
			"auth.master_key is not the master key under which the signing key %s was authenticated in the database; set auth.master_key to the previous master key, or set that as auth.former_master_key; if that is lost, revoke the key or run `pico-auth key accept %s`",
			key.KID, vault.Argument(key.KID)))
	}
	return fault.New(fault.Invalid, "key_row", fmt.Sprintf(
		"the %s signing key %s (%s) in the database is not trusted: %v; find the cause of the change, and to use the key as it is run `pico-auth key accept %s`",
		key.Status, key.KID, key.Algorithm, err, vault.Argument(key.KID)))
}

// trustUpgraded accepts rows without a MAC, which a previous release wrote, until a
// server has authenticated all rows. It accepts such a row only if its private half can
// be loaded, which proves that the writer had the master key. changed reports whether
// the rows are still to be authenticated.
func (k *keeper) trustUpgraded(ctx context.Context, s *keys) (changed bool, err error) {
	if k.atRest != Sealed {
		return false, nil
	}
	done, err := k.store.KeyRowsAuthenticated(ctx)
	if err != nil || done {
		return false, err
	}
	refused := s.refused
	s.refused = nil
	for _, r := range refused {
		parsed, failed := vault.Parse(r.row, s.adopted.Thumbprint)
		if failed == nil && r.unchecked && r.row.Status != store.KeyRemoved {
			_, failed = k.secret(parsed)
			if failed != nil && r.row.Status == store.KeyActive {
				r.cause = failed
			}
		}
		if failed != nil || !r.unchecked {
			s.refused = append(s.refused, r)
			continue
		}
		s.add(parsed)
	}
	return true, nil
}

// secret returns the private half of a recorded key.
func (k *keeper) secret(key vault.Key) (vault.Secret, error) {
	if key.Sealed != "" {
		return k.rows.Load(key)
	}
	return k.folder.Load(key)
}

// holds refuses to change keys if an active one is unavailable: with another master
// key or folder than the servers', they could not use a new key. but is the key that a
// change ends; its row may be refused if another active key is available.
func (k *keeper) holds(s *keys, but string) error {
	var refused error
	for _, r := range s.refused {
		if r.row.Status == store.KeyActive {
			if r.row.KID != but {
				return r.cause
			}
			refused = r.cause
		}
	}
	for _, row := range s.Keys {
		if row.Status == store.KeyActive {
			if _, err := k.secret(s.known[row.KID]); err != nil {
				return err
			}
			refused = nil
		}
	}
	return refused
}

// found returns the first key when none is recorded as active: a pair in the folder
// that is not recorded. Its Key is nil when there is none.
func (k *keeper) found(s *keys) (vault.Secret, error) {
	fresh := s.adopted.Pending || len(s.Keys) == 0
	pair, err := k.folderPair(fresh)
	if err != nil || pair.Key == nil {
		return vault.Secret{}, err
	}
	for _, known := range s.known {
		if known.PublicKey.Algorithm() == pair.Key.Algorithm() && known.PublicKey.Thumbprint() == pair.Key.Public().Thumbprint() {
			return vault.Secret{}, nil
		}
	}
	if err := pair.Key.Check(); err != nil { // it comes from outside and is checked once
		return vault.Secret{}, k.folder.Unusable(pair, err, legacy.MakeAnother)
	}
	return pair, nil
}

// folderPair reads the pair of the configured algorithm, or with anyAlgorithm that of another
// one, which signs until a key of the configured algorithm was published long enough.
func (k *keeper) folderPair(anyAlgorithm bool) (vault.Secret, error) {
	if anyAlgorithm {
		return legacy.Pair(k.folder, k.policy.Default)
	}
	files, err := vault.FilesOf(k.policy.Default)
	if err != nil {
		return vault.Secret{}, err
	}
	pair, err := k.folder.Pair(files, legacy.MakeAnother)
	if errors.Is(err, fs.ErrNotExist) {
		return vault.Secret{}, nil
	}
	return pair, err
}

// foundKeys returns the keys as Open would record them with the found one, for
// commands that change nothing.
func (k *keeper) foundKeys(s *keys) (*keys, error) {
	pair, err := k.found(s)
	if err != nil {
		return nil, err
	}
	if pair.Key == nil {
		return nil, fault.New(fault.NotFound, "no_signing_key",
			fmt.Sprintf("there is no signing key yet in %s; the first start of the server creates it", k.folder.Join("")))
	}
	adopted := s.adopted.Thumbprint
	if s.adopted.Pending {
		adopted = pair.Key.Public().Thumbprint()
	}
	row, err := vault.NewRow(pair.Key, adopted)
	if err != nil {
		return nil, err
	}
	row.Status, row.API = store.KeyActive, true
	parsed, err := vault.Parse(row, adopted)
	if err != nil {
		return nil, err
	}
	s.add(parsed)
	return s, nil
}

// info describes a key.
func (k *keeper) info(key vault.Key) KeyInfo {
	info := describe(key.SigningKey, k.policy.Remaining(key.SigningKey, k.now()))
	info.Thumbprint = key.PublicKey.Thumbprint()
	switch file, err := k.folder.File(key); {
	case err != nil || key.Sealed != "":
	case key.Status == store.KeyRemoved: // not erased if the folder is read-only or keys are sealed
		info.File = k.folder.List([]vault.Key{key})[key.KID]
	default:
		info.File = file
	}
	return info
}

func describe(row store.SigningKey, due time.Duration) KeyInfo {
	return KeyInfo{
		KID: row.KID, Algorithm: jose.Algorithm(row.Algorithm), Status: row.Status, PQCOnly: lifecycle.PQCOnly(row),
		CreatedAt: row.CreatedAt, ActivatedAt: row.ActivatedAt, RetiredAt: row.RetiredAt, RemovedAt: row.RemovedAt,
		Due: max(due, 0),
	}
}

// problem is the message of an error for an operator; empty: none.
func problem(err error) string {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known.Message
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Load returns the published keys, for commands that change nothing. It is an error
// when there is none.
func Load(ctx context.Context, cfg Config) (*Published, error) {
	k, err := newKeeper(cfg)
	if err != nil {
		return nil, err
	}
	s, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := k.trustUpgraded(ctx, s); err != nil {
		return nil, err
	}
	if s.First(store.KeyActive, "") == nil && s.refusedActive() == nil {
		if s, err = k.foundKeys(s); err != nil {
			return nil, err
		}
	}
	if err := k.holds(s, ""); err != nil {
		return nil, err
	}
	return k.publish(s)
}
