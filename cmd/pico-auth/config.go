package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/server"
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
	return `Nothing is opened or created. The exit code is 2 when there is a fault.

Example:

    pico-auth config check --config /etc/pico-auth/application.yaml`
}

// Run checks the configuration.
func (c configCheckCmd) Run(sh *shell) error {
	cfg, warnings, err := sh.config()
	if err == nil {
		err = server.CheckClients(cfg)
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
