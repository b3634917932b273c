// Command pico-auth is the authentication server and its administration.
//
// It owns the command line: flags, prompts, output, exit codes. The commands
// use the packages of the server on the same database and keys, so a running
// server sees a change at once. Without a command, `pico-auth` serves.
//
// Exit codes: 0 success, 1 failure, 2 a fault of the command line, of the
// configuration or of the files that it names, so that a retry cannot help.
// Errors are one sentence per line on standard error.
package main

import (
	"os"
	"slices"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3". If it is
// empty, the version is the one that the Go toolchain recorded.
var version string

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line; each command is in the file of its name.
type cli struct {
	Config *string `short:"c" placeholder:"FILE" help:"Configuration file; without it application.yaml in the working folder, if there is one."`

	ShowVersion bool `name:"version" help:"Print the version."`

	Serve        serveCmd        `cmd:"" default:"1" help:"Run the server (the default)."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
	Configure    configCmd       `cmd:"" name:"config" help:"Check or show the configuration."`
	User         userCmd         `cmd:"" help:"Create, list and change users."`
	Session      sessionCmd      `cmd:"" help:"List and end sessions of a user."`
	Org          orgCmd          `cmd:"" help:"Create, list and change organizations."`
	Group        groupCmd        `cmd:"" help:"Create, list and change groups."`
	ServiceToken serviceTokenCmd `cmd:"" name:"service-token" help:"Create, list, change and revoke service tokens."`
	Client       clientCmd       `cmd:"" help:"Create clients of the OpenID provider: the applications that users sign in to."`
	Key          keyCmd          `cmd:"" help:"List, rotate, retire, revoke, import and export signing keys."`
	Migrate      migrateCmd      `cmd:"" help:"Migrate the database to the schema of this version, or show what a migration would do."`
	Audit        auditCmd        `cmd:"" help:"List and verify audit events."`
	Token        tokenCmd        `cmd:"" help:"Inspect an access token."`
	Health       healthCmd       `cmd:"" help:"Check whether the running server is ready."`
	Backup       backupCmd       `cmd:"" help:"Write a consistent copy of the database; the server may be running."`
	Restore      restoreCmd      `cmd:"" help:"Replace the database with a backup."`
	Copy         copyCmd         `cmd:"" help:"Copy the SQLite database to PostgreSQL."`
	Completion   completionCmd   `cmd:"" help:"Print what completes commands and flags in a shell."`
}

func main() {
	os.Exit(run(os.Args[1:], &shell{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes one command line and returns the exit code.
func run(args []string, sh *shell) int {
	if len(args) == 0 || slices.Equal(args, []string{"serve"}) {
		// The short cut for supervisors: building kong's model of all commands takes a tenth of the start.
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
	if args[0] == completeWord {
		return sh.complete(parser.Model.Node, args[1:])
	}
	command, err := parser.Parse(args)
	if err != nil {
		return sh.misread(args, misused(err))
	}
	if line.Config != nil {
		if *line.Config == "" {
			return sh.fail(usage("--config: the file name is empty"))
		}
		sh.file = *line.Config
	}
	if line.ShowVersion {
		if err := (versionCmd{}).Run(sh); err != nil {
			return sh.fail(err)
		}
		return 0
	}
	if err := command.Run(sh); err != nil {
		return sh.misread(args, inFlags(command.Selected(), err))
	}
	return 0
}
