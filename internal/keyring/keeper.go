package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/lifecycle"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// keeper reads the keys. A session changes them.
type keeper struct {
	Config // with defaults

	files  vault.Files
	rows   vault.Rows
	policy lifecycle.Policy
}

func newKeeper(cfg Config) (*keeper, error) {
	if cfg.Dir == "" {
		return nil, fault.New(fault.Invalid, "data_dir", "auth.data_dir is empty; it must name the folder of the signing keys")
	}
	cfg = cfg.withDefaults()
	if cfg.Sealed() && cfg.Master == nil {
		return nil, fault.New(fault.Invalid, "at_rest", "keys.at_rest is sealed, which needs auth.master_key")
	}
	policy := lifecycle.Policy{
		Default: cfg.Algorithm, Further: slices.Compact(slices.Sorted(slices.Values(cfg.Algorithms))), Late: cfg.Late,
		PublishAhead: cfg.PublishAhead, RotateEvery: cfg.RotateEvery, TokenLifetime: cfg.TokenLifetime,
	}
	for _, algorithm := range append([]jose.Algorithm{policy.Default}, policy.Further...) {
		if !slices.Contains(jose.Algorithms(), algorithm) {
			known := strings.Trim(fmt.Sprint(jose.Algorithms()), "[]")
			return nil, fault.New(fault.Invalid, "algorithm", "auth.algorithm must be one of "+strings.ReplaceAll(known, " ", ", "))
		}
	}
	return &keeper{
		Config: cfg, policy: policy, rows: vault.Rows{Master: cfg.Master},
		files: vault.Files{Folder: datadir.New(cfg.Dir, cfg.Log), Log: cfg.Log},
	}, nil
}

// now is the wall clock with the precision of the database.
func (k *keeper) now() time.Time { return k.Now().UTC().Truncate(time.Microsecond) }

// keys is the recorded keys at one version.
type keys struct {
	store.KeySet // those whose rows can be used

	all     store.KeySet
	public  map[string]*jose.PublicKey // of those that can be used, by key ID
	refused map[string]error           // why the others are neither published nor used, by key ID
	adopted store.AdoptedKey
	upgrade bool          // no server has authenticated the rows
	read    time.Duration // when they were read, by the monotonic clock
}

func (s *keys) add(key vault.Key) {
	s.Keys, s.public[key.KID] = append(s.Keys, key.SigningKey), key.PublicKey
}

// of returns the key of a row that can be used.
func (s *keys) of(row store.SigningKey) vault.Key {
	return vault.Key{SigningKey: row, PublicKey: s.public[row.KID]}
}

// key finds a key whose row can be used.
func (s *keys) key(kid string) (vault.Key, error) {
	if row := s.Key(kid); row != nil {
		return s.of(*row), nil
	}
	if cause := s.refused[kid]; cause != nil {
		return vault.Key{}, cause
	}
	return vault.Key{}, errNoSuchKey
}

var errNoSuchKey = fault.New(fault.NotFound, "not_found", "unknown signing key; `pico-auth key list --all` shows the IDs")

// load reads the recorded keys. A row that does not match its key, or in sealed mode is
// not authentic, is refused; the other rows are used. A start and a command, but not a
// running server, accept rows without a MAC until a server has authenticated all rows.
func (k *keeper) load(ctx context.Context, running bool) (s *keys, err error) {
	s = &keys{public: map[string]*jose.PublicKey{}, refused: map[string]error{}, read: k.Monotonic()}
	if k.Sealed() && !running {
		done, err := k.Store.KeyRowsAuthenticated(ctx)
		if err != nil {
			return nil, err
		}
		s.upgrade = !done
	}
	if s.adopted, err = k.Store.AdoptedKey(ctx); err != nil {
		return nil, fmt.Errorf("read which key was adopted: %w", err)
	}
	if s.all, err = k.Store.SigningKeys(ctx); err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	s.Version = s.all.Version
	for _, row := range s.all.Keys {
		if lifecycle.Rank(row.Status) < 0 { // otherwise an active key with an edited status would be replaced silently
			return nil, vault.Unusable(row, fmt.Errorf("its status is %q", string(row.Status)))
		}
		key, err := vault.Parse(row, s.adopted.Thumbprint)
		if err == nil && k.Sealed() {
			err = k.authentic(key, s.upgrade)
		}
		if err != nil {
			s.refused[row.KID] = err
			continue
		}
		s.add(key)
	}
	return s, nil
}

// authentic refuses a row that was written without the master key. In an upgrade, a row
// has no MAC yet; that its private half can be loaded proves the same.
func (k *keeper) authentic(key vault.Key, upgrade bool) (err error) {
	if !upgrade || key.MAC != "" {
		return k.rows.Verify(key)
	}
	if key.Status != store.KeyRemoved { // it has no private half
		_, err = k.secret(key)
	}
	return err
}

// secret returns the private half of a recorded key.
func (k *keeper) secret(key vault.Key) (vault.Secret, error) {
	if key.Sealed != "" {
		return k.rows.Load(key)
	}
	return k.files.Load(key)
}

// available returns why the private half of a key cannot be used here, nil when it can.
func (k *keeper) available(s *keys, kid string) error {
	key, err := s.key(kid)
	if err == nil {
		_, err = k.secret(key)
	}
	return err
}

// holds refuses to change keys if an active one is unavailable: with another master
// key or folder than the servers', they could not use a new key. but is the key that a
// change ends; its row may be refused if another active key is available.
func (k *keeper) holds(s *keys, but string) error {
	var lacks error = errNoneActive
	for _, row := range s.all.Keys {
		if row.Status != store.KeyActive {
			continue
		}
		err := k.available(s, row.KID)
		if err != nil && (row.KID != but || s.refused[but] == nil) {
			return err
		}
		if err == nil || lacks != nil {
			lacks = err
		}
	}
	return lacks
}

// info describes a recorded key. A problem is that of the row.
func (k *keeper) info(s *keys, row store.SigningKey) KeyInfo {
	info := KeyInfo{
		KID: row.KID, Algorithm: jose.Algorithm(row.Algorithm), Status: row.Status, PQCOnly: lifecycle.PQCOnly(row),
		CreatedAt: row.CreatedAt, ActivatedAt: row.ActivatedAt, RetiredAt: row.RetiredAt, RemovedAt: row.RemovedAt,
		Due: max(k.policy.Remaining(row, k.now()), 0),
	}
	key, err := s.key(row.KID)
	if err != nil {
		info.Problem = problem(err)
		return info
	}
	info.Thumbprint = key.PublicKey.Thumbprint()
	if row.Status == store.KeyRemoved { // not erased if the folder is read-only or keys are sealed
		secret, _ := k.files.Load(key)
		info.File = secret.File
	} else if row.Sealed == "" {
		info.File = k.files.File(key)
	}
	return info
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
