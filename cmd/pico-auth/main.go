// Command pico-auth is the authentication server and its administration.
//
// It owns the command line: flags, prompts, what is printed, exit codes. What
// the commands do is done by the rooms that the server is made of, on the same
// database and keys, so a running server sees it at once. Bare `pico-auth`
// serves.
//
// Exit codes: 0 done, 1 it failed, 2 the command line, the configuration or the
// files that it names are at fault, so trying again cannot help. Errors are one
// sentence a line on standard error.
package main

import (
	"os"
	"slices"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3". Empty: what
// the Go toolchain knows about the module.
var version string

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line; each command is in the file of its name.
type cli struct {
	Config *string `short:"c" placeholder:"FILE" help:"Configuration file; without it application.yaml in the working folder, if there is one."`

	Serve     serveCmd   `cmd:"" default:"1" help:"Run the server (the default)."`
	Version   versionCmd `cmd:"" help:"Print the version."`
	Configure configCmd  `cmd:"" name:"config" help:"Check or show the configuration."`
	User      userCmd    `cmd:"" help:"Create, list and change people."`
	Group     groupCmd   `cmd:"" help:"List groups."`
	Key       keyCmd     `cmd:"" help:"List, rotate, retire, revoke, import and export signing keys."`
	Migrate   migrateCmd `cmd:"" help:"Bring the database to this version's tables, or tell what that would do."`
	Token     tokenCmd   `cmd:"" help:"Look into an access token."`
	Health    healthCmd  `cmd:"" help:"Ask the running server whether it is ready."`
	Backup    backupCmd  `cmd:"" help:"Write a consistent copy of the database, also of a running server."`
	Restore   restoreCmd `cmd:"" help:"Put a backup in the place of the database."`
	Copy      copyCmd    `cmd:"" help:"Copy the SQLite database to PostgreSQL."`
}

func main() {
	os.Exit(run(os.Args[1:], &shell{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run carries out one command line and returns the exit code.
func run(args []string, sh *shell) int {
	if len(args) == 0 || slices.Equal(args, []string{"serve"}) {
		// As every supervisor starts it: kong's model of all commands is a tenth of a start.
		if err := (serveCmd{}).Run(sh); err != nil {
			return sh.fail(err)
		}
		return 0
	}
	var line cli
	parser, err := newParser(&line, sh)
	if err != nil {
		return sh.fail(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return sh.misread(args, misused(err))
	}
	if line.Config != nil {
		if *line.Config == "" {
			return sh.fail(usage("--config names no file"))
		}
		sh.file = *line.Config
	}
	if err := command.Run(sh); err != nil {
		return sh.misread(args, err)
	}
	return 0
}
