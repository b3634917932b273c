package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// namesFile reports whether a key id can be part of a file's name; ours always
// can.
func namesFile(kid string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return kid != "" && len(kid) <= 64 && strings.Trim(kid, letters) == ""
}

// encode returns both halves in the format of their files.
func encode(key *jose.PrivateKey) (secret, public []byte, err error) {
	files, err := FilesOf(key.Algorithm())
	if err != nil {
		return nil, nil, err
	}
	if secret, public, err = files.encode(key); err != nil {
		err = fmt.Errorf("encode a signing key: %w", err)
	}
	return secret, public, err
}

// Save writes the private half into a file of its own.
func (w *Writer) Save(row *store.SigningKey, key *jose.PrivateKey) error {
	files, err := FilesOf(key.Algorithm())
	if err != nil {
		return err
	}
	secret, _, err := encode(key)
	if err != nil {
		return err
	}
	return w.WritePrivate(files.own(row.KID), secret)
}

// SaveFirst writes the pair of an installation's first key under the known names, where
// the next start finds it after a crash. If those exist it writes the private half into
// a file of its own. Any later key gets the known names from Arrange, once its row is
// recorded: a crash before that would leave an unknown key there, which keeps them.
func (w *Writer) SaveFirst(row *store.SigningKey, key *jose.PrivateKey) error {
	files, err := FilesOf(key.Algorithm())
	if err != nil {
		return err
	}
	if w.exists(files.Private) {
		return w.Save(row, key)
	}
	if w.exists(files.Public) {
		w.log.Warn("replaced a public key file without a private key file", "file", w.Join(files.Public))
	}
	secret, public, err := encode(key)
	if err != nil {
		return err
	}
	return w.writePair(files, secret, public)
}

// Complete checks the pair of an active key under its known names. It derives a
// missing public file and restricts the mode of one that other users may write.
func (w *Writer) Complete(secret Secret) error {
	files, err := FilesOf(secret.Key.Algorithm())
	if err != nil || secret.name != files.Private {
		return err
	}
	public, info, err := w.read(files.Public)
	if errors.Is(err, fs.ErrNotExist) {
		return w.derivePublic(files, secret.Key)
	}
	if err == nil {
		err = w.compare(files, secret.Key, public)
	}
	if err != nil || !w.writable() || !looser(info.Mode(), publicMode) {
		return err
	}
	if err := tighten(w.Join(files.Public), info); err != nil {
		return fileFault(w.Join(files.Public), "is open to other users and cannot be tightened", err)
	}
	w.log.Warn("tightened a public key file", "file", w.Join(files.Public), "from", modeText(info.Mode()), "to", modeText(publicMode))
	return nil
}

func (w *Writer) derivePublic(files Files, key *jose.PrivateKey) error {
	if !w.writable() {
		return nil // the private half suffices
	}
	_, public, err := encode(key)
	if err != nil {
		return err
	}
	if err := w.write(files.Public, public, publicMode); err != nil {
		return err
	}
	w.log.Info("derived a missing public key file", "file", w.Join(files.Public))
	return nil
}

// Arrange makes the folder match the database: each active pair has its known file
// names, every other key has a file named by its key ID, and files of removed keys
// are erased. Where two algorithms share the names, the first key in keys gets them.
// Arrange may be interrupted and repeated. It logs errors, and never loses a key.
func (w *Writer) Arrange(keys []Key) {
	if !w.writable() {
		return
	}
	for _, k := range keys {
		if k.Status == store.KeyRemoved {
			warn(w.log, "erase the private half of a removed key", k.KID, w.Erase(&k.SigningKey))
		}
	}
	for _, algorithm := range jose.Algorithms() {
		warn(w.log, "erase the pair of a removed key", "", w.erasePair(algorithm, keys))
	}
	taken := map[string]bool{}
	for _, k := range keys {
		files, err := FilesOf(k.PublicKey.Algorithm())
		if err != nil || k.Status != store.KeyActive || k.Sealed != "" || taken[files.Private] {
			continue
		}
		taken[files.Private] = true
		warn(w.log, "rename the files of the active pair", k.KID, w.rename(k, files, keys))
	}
}

func warn(log *slog.Logger, what, kid string, err error) {
	if err != nil {
		log.Warn("could not "+what, "kid", kid, "error", err)
	}
}

// rename gives an active pair its known names. A known key under these names moves
// to a file of its own; an unknown key is not overwritten.
func (w *Writer) rename(active Key, files Files, keys []Key) error {
	own, err := w.private(files, files.own(active.KID), "restore it from a backup; "+GiveUp(active.SigningKey, "move it away and run"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has these names already
	}
	if err != nil {
		return err
	}
	if err := w.moveAside(files, keys, active.KID); err != nil {
		return err
	}
	_, public, err := encode(own.Key)
	if err != nil {
		return err
	}
	if err := w.writePair(files, own.Raw, public); err != nil {
		return err
	}
	return w.remove(own.name)
}

// moveAside copies the key under the known names to a file of its own, if it is
// still needed.
func (w *Writer) moveAside(files Files, keys []Key, active string) error {
	raw, err := w.ReadPrivate(files.Private)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	k, theirs := recognize(raw, files, keys)
	switch {
	case k == nil:
		return fault.New(fault.Conflict, "key_file", fmt.Sprintf(
			"%s holds a key that is not in the database, so it is not replaced, and %s keeps its name; move the file away if it is not needed",
			w.Join(files.Private), files.own(active)))
	case k.KID == active || k.Status == store.KeyRemoved || k.Sealed != "":
		return nil
	}
	return w.WritePrivate(theirs.own(k.KID), raw)
}

// recognize finds the key that a private file holds. ML-DSA-65 and -87 share their
// file name.
func recognize(raw []byte, files Files, keys []Key) (*Key, Files) {
	for _, algorithm := range jose.Algorithms() {
		theirs, err := FilesOf(algorithm)
		if err != nil || theirs.Private != files.Private {
			continue
		}
		key, err := theirs.Parse(raw)
		if err != nil {
			continue
		}
		for i := range keys {
			if keys[i].PublicKey.Algorithm() == algorithm && keys[i].PublicKey.Thumbprint() == key.Public().Thumbprint() {
				return &keys[i], theirs
			}
		}
	}
	return nil, files
}

// Erase removes a key's own file, if there is one.
func (w *Writer) Erase(row *store.SigningKey) error {
	files, err := FilesOf(jose.Algorithm(row.Algorithm))
	if err != nil || !namesFile(row.KID) || !w.exists(files.own(row.KID)) {
		return err
	}
	return w.remove(files.own(row.KID))
}

// erasePair removes the pair under the known names of an algorithm if it belongs to
// a removed key.
func (w *Writer) erasePair(algorithm jose.Algorithm, keys []Key) error {
	files, err := FilesOf(algorithm)
	if err != nil {
		return err
	}
	raw, failed := w.ReadPrivate(files.Private)
	if failed != nil {
		return nil //nolint:nilerr // it is missing, or the start that uses it reports the error
	}
	if k, _ := recognize(raw, files, keys); k == nil || k.Status != store.KeyRemoved {
		return nil
	}
	return errors.Join(w.remove(files.Private), w.remove(files.Public))
}
