// Package legacy takes over the key of a Python installation: which one it was
// signing with, and the key under which its later versions hashed tokens.
//
// The signing key keeps the constant id of the original. The hash key is derived
// from its file once and kept where the signing keys are: adopted service tokens
// never expire and must outlive that key. keyring calls it when it opens the keys.
package legacy
