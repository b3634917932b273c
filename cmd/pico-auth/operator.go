package main

import (
	"os"
	"os/user"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/identity"
)

// maxAccount limits a recorded account name, in bytes; no operating system
// allows a longer one.
const maxAccount = 64

// operator is the actor of the command line. An account of the operating system
// that can read the database and the keys needs no further permission. The audit
// log names the account and the user that called sudo. Root can forge both, but
// can also edit the database.
func operator() identity.Actor {
	return identity.Actor{Kind: identity.ActorSystem, ID: account(), OnBehalfOf: recorded(os.Getenv("SUDO_USER"))}
}

// account is the name of the account that runs the process, or the number of
// one without a name, as in a container. $USER is not believed.
func account() string {
	uid := strconv.Itoa(os.Getuid())
	u, err := user.LookupId(uid)
	if os.Getuid() < 0 { // Windows has no such number
		u, err = user.Current()
	}
	if err != nil {
		return "uid " + uid
	}
	return recorded(u.Username)
}

// recorded is a name in the form of the audit log.
func recorded(name string) string {
	return printable(name[:min(len(name), maxAccount)])
}
