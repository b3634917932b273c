// Package legacy adopts the keys of a Python installation: the one that it signed
// with, and the one under which its later versions hashed tokens.
//
// The signing key keeps the constant id of the original. The hash key is derived
// from its file once and kept where the signing keys are: adopted service tokens
// never expire and must outlive that key. keyring calls it when it opens the keys.
package legacy
