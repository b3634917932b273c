// Package lifecycle decides about the status of signing keys: from the keys, the
// configuration and the elapsed time it computes the changes that are due. It reads
// nothing, writes nothing and makes no key.
//
//	changes := policy.Due(set, now)
//	changes := policy.Revoke(set, kid, now, usable)
//
// A key is pending (published, not yet signing), active (it signs), retiring (its
// last tokens may still be good), and removed. Of each algorithm at most one key is
// pending and at most one is active. keyring carries the changes out.
package lifecycle
