package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type migrateCmd struct {
	Check bool `help:"Change nothing; check the whole database and show what a migration would do."`
	JSON  bool `help:"Print JSON (with --check)."`
}

// Help is the end of `pico-auth migrate --help`.
func (migrateCmd) Help() string {
	return `The server does the same at its start. A database of the Python server is adopted in place, after a backup of it is written.
With --check the exit code is 1 if the start would be refused.

Examples:

    pico-auth migrate --check
    DATABASE_URL=sqlite:////srv/auth/auth.db pico-auth migrate --check --json`
}

// Run migrates, or shows what a migration would do.
func (c migrateCmd) Run(sh *shell) error {
	if c.JSON && !c.Check {
		return usage("--json requires --check")
	}
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	ctx := context.Background()
	open := server.StoreConfig(cfg, sh.log())
	if !c.Check {
		for _, w := range moving(ctx, cfg, transfer.Original(ctx, open.URL)) {
			sh.tell("warning: " + printable(w) + "\n")
		}
		return sh.migrate(ctx, open, cfg.Database.Redacted())
	}
	plan, err := transfer.Check(ctx, open)
	if err != nil {
		return misconfigured(err)
	}
	plan.Warnings = append(moving(ctx, cfg, plan.State == "original"), plan.Warnings...)
	if c.JSON {
		err = sh.json(asPlanJSON(plan))
	} else {
		err = sh.plan(plan, cfg.Database.Redacted())
	}
	if err == nil && !plan.OK() {
		err = errors.New("the start would be refused")
	}
	return err
}

// migrate migrates the database; url is shown of one on a server.
func (sh *shell) migrate(ctx context.Context, open store.Config, url string) error {
	db, err := store.Open(ctx, open)
	if err != nil {
		return misconfigured(err)
	}
	where := cmp.Or(db.Path(), url)
	sh.tell(adoption(db))
	return errors.Join(sh.say("the database is up to date: %s\n", printable(where)), db.Close())
}

// planJSON is what `migrate --check --json` prints.
type planJSON struct {
	OK              bool     `json:"ok"`
	Engine          string   `json:"engine"`
	Path            string   `json:"path"`
	State           string   `json:"state"`
	Version         int64    `json:"version"`
	Target          int64    `json:"target"`
	Users           int      `json:"users"`
	Groups          int      `json:"groups"`
	Memberships     int      `json:"memberships"`
	RefreshTokens   int      `json:"refresh_tokens"`
	ServiceTokens   int      `json:"service_tokens"`
	DanglingMembers int      `json:"dangling_members"`
	DroppedTokens   int      `json:"dropped_tokens"`
	Dropped         []string `json:"dropped"`
	Warnings        []string `json:"warnings"`
	Collisions      []string `json:"collisions"`
	Resolving       []string `json:"resolving"`
	Problems        []string `json:"problems"`
}

func asPlanJSON(p transfer.Plan) planJSON {
	list := func(s []string) []string { return append([]string{}, s...) }
	return planJSON{
		OK: p.OK(), Engine: p.Engine, Path: p.Path, State: p.State, Version: p.Version, Target: p.Target,
		Users: p.Users, Groups: p.Groups, Memberships: p.Memberships,
		RefreshTokens: p.RefreshTokens, ServiceTokens: p.ServiceTokens,
		DanglingMembers: p.DanglingMembers, DroppedTokens: p.DroppedTokens,
		Dropped: list(p.Dropped), Warnings: list(p.Warnings), Collisions: list(p.Collisions), Resolving: list(p.Resolving), Problems: list(p.Problems),
	}
}

// plan prints what a migration would do; url is shown of a database on a server.
func (sh *shell) plan(p transfer.Plan, url string) error {
	what, known := map[string]string{
		"empty":    "no database found; the start creates it",
		"current":  "the database is up to date",
		"behind":   fmt.Sprintf("the schema would be migrated from version %d to %d", p.Version, p.Target),
		"original": "the database of the Python server would be adopted",
		"newer":    "the database belongs to a newer version of pico-auth",
		"foreign":  "the database belongs to another program",
		"refused":  "the database is not usable as it is",
	}[p.State]
	if !known {
		what = "the database cannot be read"
	}
	where := url
	if p.Path != "" {
		where = p.Engine + " " + p.Path
	}
	rows := [][]string{{"database", where}, {"state", what}}
	for _, count := range []struct {
		name string
		n    int
	}{
		{"users", p.Users},
		{"groups", p.Groups},
		{"memberships", p.Memberships},
		{"refresh tokens", p.RefreshTokens},
		{"service tokens", p.ServiceTokens},
		{"dropped memberships", p.DanglingMembers},
		{"dropped refresh tokens", p.DroppedTokens},
	} {
		rows = append(rows, []string{count.name, strconv.Itoa(count.n)})
	}
	for _, said := range []struct {
		name  string
		lines []string
	}{{"dropped", p.Dropped}, {"warning", p.Warnings}, {"collision", p.Collisions}, {"resolve with", p.Resolving}, {"problem", p.Problems}} {
		for _, line := range said.lines {
			rows = append(rows, []string{said.name, line})
		}
	}
	return sh.table(rows)
}
