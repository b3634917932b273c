package main

import (
	"os"
	"os/user"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// maxAccount is the longest name of an account that is recorded; no system has
// a longer one.
const maxAccount = 64

// operator is who acts on the command line: a user of the operating system who
// can read the database and the keys needs no further permission. The audit log
// names the account, and for whom sudo runs the command. Whoever is root can
// make that up, and could edit the database as well.
func operator() identity.Actor {
	return identity.Actor{Kind: identity.ActorSystem, ID: account(), OnBehalfOf: recorded(os.Getenv("SUDO_USER"))}
}

// account is the name of the account that runs the process, or the number of
// one without a name, as in a container.
func account() string {
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		return recorded(u.Username)
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// recorded is a name as the audit log takes it.
func recorded(name string) string {
	return printable(name[:min(len(name), maxAccount)])
}
