package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/store"
)

// Of each algorithm the active pair lies under the names that filesOf gives. A
// key that waits, or has been replaced, lies in a file of its own, named by its
// id. The database alone says which key is which, and a file counts only for the
// key whose thumbprint it has, so a stop between a change there and one in the
// folder confuses nobody: arrange does the rest later.

// namesFile reports whether a key id can be part of a file's name; ours always
// can.
func namesFile(kid string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return kid != "" && len(kid) <= 64 && strings.Trim(kid, letters) == ""
}

// fromFiles finds the private file of a recorded key, fs.ErrNotExist when there
// is none.
func (o *opener) fromFiles(row store.SigningKey, files pairFiles, thumbprint string) (secretFile, error) {
	if !namesFile(row.KID) {
		return secretFile{}, unusableRow(row, errors.New("its id is none of ours"))
	}
	remedy := restoreRecorded(row)
	own, err := o.loadSecret(files, files.own(row.KID), remedy)
	switch {
	case err == nil && own.key.Public().Thumbprint() != thumbprint:
		return secretFile{}, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s holds another key than its name says; restore it from a backup", o.folder.join(own.name)))
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return own, err
	}
	pair, err := o.load(files, remedy)
	if err == nil && pair.key.Public().Thumbprint() != thumbprint {
		err = fs.ErrNotExist
	}
	return pair, err
}

// restoreRecorded is what to do about a broken private file of a recorded key.
func restoreRecorded(row store.SigningKey) string {
	return "restore it from a backup; " + giveUp(row, "move it away and run")
}

// keep writes the private half of a key that is not active into a file of its
// own.
func (o *opener) keep(kid string, files pairFiles, secret []byte) error {
	return o.folder.write(files.own(kid), secret, privateMode)
}

// arrange makes the folder what the database says: the active pair under the
// names by which the original finds it, all others by their ids, and nothing of
// removed keys. It may be stopped anywhere and repeated. What it cannot do it
// logs: no key is lost by it.
func (o *opener) arrange(set store.KeySet) {
	if o.folder.readOnly || o.looking || o.store == nil {
		return
	}
	for _, row := range set.Keys {
		if row.Status == store.KeyRemoved {
			o.attempt("erase the private half of a removed key", row.KID, o.erase(row))
		}
	}
	for _, algorithm := range jose.Algorithms() {
		o.attempt("erase the pair of a removed key", "", o.erasePair(algorithm, set))
	}
	if active := set.Active(); active != nil && active.Sealed == "" {
		o.attempt("give the active pair its usual file names", active.KID, o.putForward(*active, set))
	}
}

func (o *opener) attempt(what, kid string, err error) {
	if err != nil {
		o.log.Warn("could not "+what, "kid", kid, "error", err)
	}
}

// putForward gives the active pair its names. Who is there gives way, but a key
// that nobody knows is not overwritten.
func (o *opener) putForward(active store.SigningKey, set store.KeySet) error {
	files, err := filesOf(jose.Algorithm(active.Algorithm))
	if err != nil {
		return err
	}
	own, err := o.loadSecret(files, files.own(active.KID), restoreRecorded(active))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has them already
	}
	if err != nil {
		return err
	}
	if err := o.makeWay(files, set, active.KID); err != nil {
		return err
	}
	_, public, err := files.encode(own.key)
	if err != nil {
		return fmt.Errorf("encode the public key: %w", err)
	}
	if err := o.folder.writePair(files, own.raw, public); err != nil {
		return err
	}
	return o.folder.remove(own.name)
}

// makeWay copies the key under the active pair's name to a file of its own, if
// it still has one to be kept.
func (o *opener) makeWay(files pairFiles, set store.KeySet, active string) error {
	raw, err := o.folder.readPrivate(files.private)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	row, theirs := o.recognise(raw, files, set)
	switch {
	case row == nil:
		return fault.New(fault.Conflict, "key_file", fmt.Sprintf(
			"%s holds a key that the database does not know; it is left alone, and %s stays beside it; move it away if nobody needs it",
			o.folder.join(files.private), files.own(active)))
	case row.KID == active || row.Status == store.KeyRemoved || row.Sealed != "":
		return nil
	}
	return o.keep(row.KID, theirs, raw)
}

// recognise finds the recorded key that a private file holds. ML-DSA-65 and -87
// share their name.
func (o *opener) recognise(raw []byte, files pairFiles, set store.KeySet) (*store.SigningKey, pairFiles) {
	for _, algorithm := range jose.Algorithms() {
		theirs, err := filesOf(algorithm)
		if err != nil || theirs.private != files.private {
			continue
		}
		key, err := theirs.parse(raw)
		if err != nil {
			continue
		}
		if row := o.byThumbprint(set, algorithm, key.Public().Thumbprint()); row != nil {
			return row, theirs
		}
	}
	return nil, files
}

// byThumbprint finds a recorded key. Its id is the thumbprint, but for the
// adopted one.
func (o *opener) byThumbprint(set store.KeySet, algorithm jose.Algorithm, thumbprint string) *store.SigningKey {
	for i, row := range set.Keys {
		if row.Algorithm != string(algorithm) || row.KID != thumbprint && row.KID != AdoptedKID {
			continue
		}
		public, _, err := o.publicHalf(row)
		if err == nil && public.Thumbprint() == thumbprint {
			return &set.Keys[i]
		}
	}
	return nil
}

// erase removes the file of its own that a key had.
func (o *opener) erase(row store.SigningKey) error {
	files, err := filesOf(jose.Algorithm(row.Algorithm))
	if err != nil || !namesFile(row.KID) || !o.folder.exists(files.own(row.KID)) {
		return err
	}
	return o.folder.remove(files.own(row.KID))
}

// erasePair removes the pair under the known names of an algorithm where it is
// that of a removed key. Algorithms that share the names find nothing the second
// time.
func (o *opener) erasePair(algorithm jose.Algorithm, set store.KeySet) error {
	files, err := filesOf(algorithm)
	if err != nil {
		return err
	}
	raw, failed := o.folder.readPrivate(files.private)
	if failed != nil {
		return nil //nolint:nilerr // there is none, or whoever starts with it says what is wrong
	}
	if row, _ := o.recognise(raw, files, set); row == nil || row.Status != store.KeyRemoved {
		return nil
	}
	return errors.Join(o.folder.remove(files.private), o.folder.remove(files.public))
}
