package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Files keeps private halves in files of the data folder.
type Files struct {
	*datadir.Folder

	Writer *datadir.Writer // nil: nothing is changed
	Log    *slog.Logger
}

// PairNames returns the names of the pair of the first key of an algorithm: those of the
// original server for its algorithms, otherwise names with the algorithm in them.
func PairNames(algorithm jose.Algorithm) (private, public string) {
	stem := strings.ToLower(string(algorithm))
	switch {
	case algorithm == jose.RS256:
		return "private.pem", "public.pem"
	case algorithm == jose.MLDSA65 || algorithm == jose.MLDSA87:
		return "pqc_secret.bin", "pqc_public.bin"
	case algorithm.PostQuantum():
		return stem + "_secret.bin", stem + "_public.bin"
	}
	return stem + "_private.pem", stem + "_public.pem"
}

// ownName is the file of any later key.
func ownName(algorithm jose.Algorithm, kid string) string {
	if algorithm.PostQuantum() {
		return "key-" + kid + ".bin"
	}
	return "key-" + kid + ".pem"
}

// name is the file of the private half of a key: one of its own, or else that of the
// first key of its algorithm.
func (f Files) name(k Key) (name string, own bool) {
	name = ownName(k.PublicKey.Algorithm(), k.KID)
	if f.Has(name) {
		return name, true
	}
	name, _ = PairNames(k.PublicKey.Algorithm())
	return name, false
}

// File returns the path of the private half of a key. The file may be missing.
func (f Files) File(k Key) string {
	name, _ := f.name(k)
	return f.Join(name)
}

// Load returns the private half of a recorded key.
func (f Files) Load(k Key) (Secret, error) {
	name, own := f.name(k)
	secret, err := f.private(k.PublicKey.Algorithm(), name, "restore it from a backup; "+giveUp(k.SigningKey, "move it away and run"))
	switch {
	case err == nil && secret.Key.Public().Equal(k.PublicKey):
		return secret, nil
	case err == nil && own:
		err = fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s holds another key than the one in its name; restore it from a backup", secret.File))
	case err == nil || errors.Is(err, fs.ErrNotExist):
		err = lost(k.SigningKey, f.Path())
	}
	return Secret{}, err
}

func (f Files) private(algorithm jose.Algorithm, name, remedy string) (Secret, error) {
	raw, err := f.ReadPrivate(name)
	if err != nil {
		return Secret{}, err
	}
	secret := Secret{File: f.Join(name), Raw: raw}
	if secret.Key, err = jose.ParsePrivate(algorithm, raw); err != nil {
		return Secret{}, unusable(secret.File, err, remedy)
	}
	return secret, nil
}

// FirstPair returns the pair that an installation signs with which has no rows yet: that
// of the configured algorithm, or else of another one that the original supports, since
// the algorithm may have changed with the adoption. It is checked, since it comes from
// outside. Its Key is nil when there is no pair.
func (f Files) FirstPair(configured jose.Algorithm) (Secret, error) {
	const remedy = "restore it from a backup, or move the pair away to have a new one made"
	own, _ := PairNames(configured)
	for _, algorithm := range []jose.Algorithm{configured, jose.RS256, jose.MLDSA65, jose.MLDSA87} {
		name, _ := PairNames(algorithm)
		if algorithm != configured && name == own {
			continue // it was read above
		}
		pair, err := f.private(algorithm, name, remedy)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil && algorithm == jose.MLDSA65 && algorithm != configured:
			continue // it may be one of ML-DSA-87, which has the same name
		case err == nil:
			err = f.compare(pair.Key)
		}
		if err == nil {
			if bad := pair.Key.Check(); bad != nil {
				err = unusable(pair.File, bad, remedy)
			}
		}
		return pair, err
	}
	return Secret{}, nil
}

// compare refuses a public file beside the private one that is damaged or of another key.
func (f Files) compare(key *jose.PrivateKey) error {
	private, name := PairNames(key.Algorithm())
	data, err := f.ReadPublic(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	public, err := jose.ParsePublic(key.Algorithm(), data)
	if err != nil {
		return unusable(f.Join(name), err, "delete it to have it derived from "+private)
	}
	if !public.Equal(key.Public()) {
		return fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s and %s are halves of different keys; restore the right one from a backup, or, if %s is the right one, delete the public file to have it derived",
			f.Join(private), f.Join(name), private))
	}
	return nil
}

// Unknown returns the files of keys that are not in the database. Such a file may be
// left by a crash between the file and its row, or be the only copy of a key of
// another database, so it is not removed.
func (f Files) Unknown(set store.KeySet) (files []string) {
	for _, name := range f.Names() {
		kid, ours := strings.CutPrefix(name, "key-")
		kid, pem := strings.CutSuffix(kid, ".pem")
		kid, bin := strings.CutSuffix(kid, ".bin")
		if ours && (pem || bin) && set.Key(kid) == nil {
			files = append(files, f.Join(name))
		}
	}
	return files
}

// Save writes the private half of a key that is not recorded yet into a file of its own.
// With first it writes a pair, where the next start finds it after a crash, and where
// the Python server looks for it, unless there is a private file.
func (f Files) Save(row store.SigningKey, secret Secret, first bool) error {
	private, public := PairNames(secret.Key.Algorithm())
	if !first || f.Has(private) {
		return f.Writer.WritePrivate(ownName(secret.Key.Algorithm(), row.KID), secret.Raw)
	}
	if f.Has(public) {
		f.Log.Warn("replaced a public key file without a private key file", "file", f.Join(public))
	}
	half, err := secret.Key.Public().Marshal()
	if err == nil {
		err = f.Writer.WritePublic(public, half)
	}
	if err == nil {
		err = f.Writer.WritePrivate(private, secret.Raw)
	}
	return err
}

// Complete checks the public file beside the private one of an active key, if that is of
// a pair. It writes one that is missing, or that other users may write.
func (f Files) Complete(secret Secret) error {
	private, public := PairNames(secret.Key.Algorithm())
	if f.Writer == nil || secret.File != f.Join(private) {
		return nil
	}
	err := f.compare(secret.Key)
	half, encoding := secret.Key.Public().Marshal()
	if err := errors.Join(err, encoding); err != nil {
		return err
	}
	return f.Writer.KeepPublic(public, half)
}

// Erase removes the files of a key. It may be interrupted and repeated, and logs errors.
func (f Files) Erase(k Key) {
	if !f.Writer.Writable() {
		return
	}
	algorithm := k.PublicKey.Algorithm()
	names := []string{ownName(algorithm, k.KID)}
	private, public := PairNames(algorithm)
	if pair, err := f.private(algorithm, private, ""); err == nil && pair.Key.Public().Equal(k.PublicKey) {
		names = append(names, public, private)
	}
	for _, name := range names {
		if err := f.Writer.Remove(name); err != nil {
			f.Log.Warn("could not erase the private half of a removed key", "error", err)
		}
	}
}

// unusable returns the error for a damaged file, with the remedy.
func unusable(file string, cause error, remedy string) error {
	return fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s cannot be used: %s; %s", file, cause, remedy))
}
