// Package seal encrypts at rest the secrets that must be readable again:
// AES-256-GCM under the installation's master key.
//
//	master, err := seal.Parse(text)
//	sealed := master.Seal(seal.Place{Table: "signing_keys", Column: "sealed_key", Row: kid}, secret)
//	secret, err := master.Open(place, sealed)
//
// It owns the format of sealed text and nothing else: it knows neither what is
// sealed nor where it is stored. keyring calls it; config asks it what a master
// key looks like.
package seal
