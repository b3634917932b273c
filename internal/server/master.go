package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/seal"
	"github.com/pico-auth/pico-auth/internal/store"
)

// configuredMaster is auth.master_key, nil when it is not set.
func configuredMaster(cfg config.Config) (*seal.Master, error) {
	if cfg.Auth.MasterKey == "" {
		return nil, nil
	}
	master, err := seal.Parse(string(cfg.Auth.MasterKey))
	if err != nil {
		return nil, fmt.Errorf("auth.master_key: %w", err)
	}
	if cfg.Auth.FormerMasterKey == "" {
		return master, nil
	}
	former, err := seal.Parse(string(cfg.Auth.FormerMasterKey))
	if err != nil {
		return nil, fmt.Errorf("auth.former_master_key: %w", err)
	}
	return master.After(former), nil
}

// Master returns the key of everything but the signing keys: auth.master_key, else
// that in the file of the data folder, nil when there is none. Where the setting
// came after the file, the file's is the former one.
func Master(cfg config.Config, log *slog.Logger) (*seal.Master, error) {
	file, err := datadir.New(cfg.Auth.DataDir, log).Master()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	master, err := configuredMaster(cfg)
	switch {
	case err != nil || master == nil:
		return file, err
	case master.Former() == nil && file != nil:
		return master.After(file), nil
	default:
		return master, nil
	}
}

// needMaster is Master for a server, which makes the file at its first start. A
// server that cannot have the key works without it: nil is logged.
func needMaster(ctx context.Context, cfg config.Config, st *store.Store, log *slog.Logger) (*seal.Master, error) {
	master, err := Master(cfg, log)
	if master != nil || err != nil {
		return master, err
	}
	head, err := st.AuditHead(ctx)
	if err != nil {
		return nil, err
	}
	if head != "" {
		log.Error("master key unavailable: audit events are not linked; restore the file from a backup, or set auth.master_key",
			"file", datadir.New(cfg.Auth.DataDir, log).Join(datadir.MasterFile))
		return nil, nil
	}
	w, err := datadir.New(cfg.Auth.DataDir, log).Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	master, err = w.Master()
	if fault.KindOf(err) == fault.Invalid {
		log.Warn("no master key: audit events are not linked; set auth.master_key, or let the server write to auth.data_dir", "error", err)
		return nil, nil
	}
	return master, err
}
