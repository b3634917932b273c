package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/password"
	"github.com/pico-auth/pico-auth/internal/server"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Read the configuration and report every fault and warning."`
	Show  configShowCmd  `cmd:"" help:"Print every setting, its value and its source; secrets are redacted."`
}

type configCheckCmd struct {
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth config check --help`.
func (configCheckCmd) Help() string {
	return `It looks at everything that a start looks at: the files of TLS, keys and pages, auth.data_dir, and the superadmins in the database, if it can be
reached. What the database or its role lacks is a warning, since it is mended there. Nothing is created or changed; migrate --check looks at the whole database. The exit code is 2 when there is a fault.

Example:

    pico-auth config check --config /etc/pico-auth/application.yaml`
}

// Run checks the configuration.
func (c configCheckCmd) Run(sh *shell) error {
	cfg, warnings, err := sh.config()
	if err == nil {
		more, bad := sh.checkAll(cfg)
		more = append(more, moving(context.Background(), cfg, transfer.Original(context.Background(), string(cfg.Database.URL)))...)
		warnings, err = append(warnings, more...), bad
	}
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		return err
	}
	if c.JSON {
		return errors.Join(sh.json(map[string]any{
			"ok": err == nil, "faults": sentences(faults), "warnings": append([]string{}, warnings...),
		}), err)
	}
	for _, w := range warnings {
		sh.tell("warning: " + printable(w) + "\n")
	}
	if err != nil {
		return err
	}
	return sh.say("the configuration is valid\n")
}

// checkAll checks what the settings name. What cannot be looked at is a warning.
func (sh *shell) checkAll(cfg config.Config) (warnings []string, err error) {
	exist, published, failed := transfer.Superadmins(context.Background(), server.StoreConfig(cfg, nil), password.IsDefault)
	if failed == nil {
		return nil, server.CheckAll(cfg, server.Admins{Exist: exist, Published: published})
	}
	err = server.Check(cfg)
	var faults config.Faults
	errors.As(err, &faults)
	found := config.Fault{What: sentence(failed)}
	switch {
	case slices.Contains(faults, found):
		return nil, err
	case errors.As(misconfigured(failed), new(usageError)):
		return nil, append(faults, found)
	case fault.KindOf(failed) == fault.Forbidden: // mended on the server of the database
		for line := range strings.Lines(found.What) {
			warnings = append(warnings, "a start would be refused: "+strings.TrimSpace(line))
		}
		return warnings, err
	default:
		return []string{"the database was not looked at: " + found.What}, err
	}
}

func sentences(faults config.Faults) []string {
	all := []string{}
	for _, f := range faults {
		all = append(all, f.String())
	}
	return all
}

type configShowCmd struct {
	JSON bool `help:"Print JSON."`
}

// Help is the end of `pico-auth config show --help`.
func (configShowCmd) Help() string {
	return `Example:

    AUTH_BCRYPT_COST=13 pico-auth config show`
}

// Run shows the configuration.
func (c configShowCmd) Run(sh *shell) error {
	cfg, _, err := sh.config()
	if err != nil {
		return err
	}
	if c.JSON {
		return sh.json(cfg.Settings())
	}
	var rows [][]string
	for _, s := range cfg.Settings() {
		text := fmt.Sprint(s.Value)
		if list, ok := s.Value.([]string); ok {
			text = strings.Join(list, ", ")
		}
		rows = append(rows, []string{s.Key, text, s.Origin})
	}
	return sh.table(rows)
}
