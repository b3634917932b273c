package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type copyCmd struct {
	To string `field:"database.url" required:"" placeholder:"URL" help:"The empty PostgreSQL database to fill; '-' reads the URL from standard input, which keeps its password out of the list of processes."`
}

// Help is the end of `pico-auth copy --help`.
func (copyCmd) Help() string {
	return `Everything is copied in one transaction and compared row by row before the commit. The SQLite database is only read. Stop the server
first: changes made after the copy began are not in it. Copying again onto a finished copy changes nothing; a database that
holds anything else is refused. Signing keys in files stay in auth.data_dir; sealed keys are copied with the other rows.

Example:

    pico-auth copy --to postgres://auth@db.internal/auth`
}

// Run copies and prints the tables of the copy.
func (c copyCmd) Run(sh *shell) error {
	to := c.To
	if to == "-" {
		line, err := sh.line()
		if err != nil {
			return err
		}
		to = line
	}
	if !strings.HasPrefix(to, "postgres") {
		return usage("--to must be the URL of a PostgreSQL database, such as postgresql://user:password@host/name; `pico-auth backup` copies to a SQLite file")
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if err := mustExist(cfg); err != nil {
		return err
	}
	ctx := context.Background()
	source := server.StoreConfig(cfg, sh.log())
	from, err := source.Target()
	if err != nil {
		return misconfigured(err)
	}
	if serving, err := transfer.Serving(ctx, source); err == nil && serving { // Copy reports what is wrong
		sh.tell("warning: a server runs on " + printable(from.Path) + ": what it writes from now on is not in the copy; " +
			"stop it first, and if it is not stopped, copy again to an empty database\n")
	}
	copied, err := transfer.Copy(ctx, source, to, sh.progress())
	if err != nil {
		return misconfigured(err)
	}
	rows := [][]string{{"table", "rows", "checksum"}}
	for _, t := range copied {
		rows = append(rows, []string{t.Table, strconv.FormatInt(t.Rows, 10), t.Checksum[:16]})
	}
	left, err := transfer.Uncopied(ctx, source)
	said := sh.table(rows)
	if len(left) > 0 {
		said = errors.Join(said, sh.say("not copied, because they do not belong to pico-auth: %s\n", printable(strings.Join(left, ", "))))
	}
	return errors.Join(err, said, sh.say("%s", afterCopy(cfg, from.Path)))
}

// afterCopy says how the server gets onto the copy of the file.
func afterCopy(cfg config.Config, file string) string {
	text := "next: set database.url (DATABASE_URL) to the URL of the copy, and start the server; " + printable(file) + " was only read and is not used any more\n"
	if cfg.Auth.MasterKey == "" {
		text += "the signing keys stay in " + printable(cfg.Auth.DataDir) + ", which every server on the copy needs\n"
	}
	return text
}

// progress shows each table on standard error: on a terminal while it is
// copied, elsewhere when it is complete.
func (sh *shell) progress() transfer.CopyProgress {
	f, ok := sh.err.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	return func(table string, rows int64, done bool) {
		switch {
		case done && terminal:
			sh.tell(fmt.Sprintf("\r%s: %s\n", table, counted(rows, "row")))
		case done:
			sh.tell(fmt.Sprintf("%s: %s\n", table, counted(rows, "row")))
		case terminal:
			sh.tell(fmt.Sprintf("\r%s: %s", table, counted(rows, "row")))
		}
	}
}

// counted is a number with the singular or plural of what is counted.
func counted[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
