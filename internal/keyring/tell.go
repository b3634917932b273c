package keyring

import (
	"errors"
	"strings"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/store"
)

// What a start says about keys that are not as they should be, and that do not
// stop it.

// tryOthers says which keys besides the active one cannot be got at, while the
// operator is looking: a next one will have to sign.
func (o *opener) tryOthers(set store.KeySet) {
	for _, row := range set.Keys {
		if row.Status != store.KeyNext && (row.Status != store.KeyRetiring || row.Sealed == "") {
			continue
		}
		if _, err := o.private(row); err != nil {
			o.log.Warn("a signing key cannot be used", "kid", row.KID, "status", row.Status, "error", err)
		}
	}
}

// problem is a fault in a sentence; empty: none.
func problem(err error) string {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known.Message
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// tellOrphans names the files of keys that the database does not know. A stop
// between a file and its row leaves one behind, which never signed anything; but
// it may also be the only copy of a key of another database, so it stays. It runs
// under the folder's lock, so nobody is between the two now.
func (o *opener) tellOrphans(set store.KeySet) {
	if o.inDatabase() {
		return
	}
	for _, name := range o.folder.names() {
		kid, ours := strings.CutPrefix(name, "key-")
		kid, pem := strings.CutSuffix(kid, ".pem")
		kid, bin := strings.CutSuffix(kid, ".bin")
		if ours && (pem || bin) && set.Key(kid) == nil {
			o.log.Warn("a key file is of no key that the database knows, and is left alone; if no other server uses this folder, remove it",
				"file", o.folder.join(name))
		}
	}
}

// tellOfClocks names retiring keys that stay in the key set for longer than their
// tokens can be good, since the clock by which they were retired was ahead.
func (o *opener) tellOfClocks(set store.KeySet) {
	for _, row := range set.Keys {
		if row.Status == store.KeyRetiring && row.RetiredAt.Sub(o.now()) > o.leeway {
			o.log.Warn("a signing key was retired at a time that has not come yet, by a clock that was ahead; it stays in the key set until its tokens of then have expired, or it is revoked",
				"kid", row.KID, "retired_at", row.RetiredAt, "until", row.RetiredAt.Add(o.keepFor(row)))
		}
	}
}
