package main

import (
	"encoding/base64"
	"slices"
	"strings"
)

// idLength is the length of a key ID: a SHA-256 thumbprint in base64url (RFC 7638).
const idLength = 43

// misread is fail, with a hint if a key ID was read as flags.
func (sh *shell) misread(args []string, err error) int {
	code := sh.fail(err)
	if id := readAsFlags(args); id != "" {
		sh.tell("pico-auth: " + id + " is a key ID that begins with a dash; write -- before it, and flags before that\n")
		return exitUsage
	}
	return code
}

// readAsFlags finds a key ID that begins with a dash and has no -- before it; empty:
// there is none. New keys have no such ID, but imported and older ones may.
func readAsFlags(args []string) string {
	command := slices.Index(args, "key")
	if command < 0 {
		return ""
	}
	for _, arg := range args[command:] {
		if arg == "--" {
			break
		}
		_, err := base64.RawURLEncoding.DecodeString(arg)
		if strings.HasPrefix(arg, "-") && len(arg) == idLength && err == nil {
			return arg
		}
	}
	return ""
}
