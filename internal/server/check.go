package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/datadir"
	"github.com/pico-auth/pico-auth/internal/directory"
	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/identity"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/owner"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/web"
)

// Check returns everything that a start with cfg refuses and that can be seen without
// changing anything and without opening the database: config.Faults, or nil. New begins
// with it, so that such a start leaves nothing behind.
func Check(cfg config.Config) error {
	database, folder := StoreConfig(cfg, nil), dataDir(cfg)
	_, badTheme := readTheme(cfg.Pages)
	badFolder := folder.Check()
	found := []error{checkIssuer(cfg.Auth.Issuer), CheckClients(cfg), badTheme, checkStream(cfg.Audit.Stream), badFolder, store.CheckFile(database)}
	if badFolder == nil {
		_, err := Master(cfg, slog.New(slog.DiscardHandler))
		found = append(found, err)
	}
	if exists, err := store.Exists(database); err == nil && !exists {
		found = append(found, checkAdmins(cfg, Admins{}), checkNew(cfg))
	}
	return gather(found...)
}

// Admins is what a start asks of the superadmins in the database.
type Admins struct {
	Exist     bool
	Published []string // addresses of active ones with the default password
}

// CheckAll is Check, and what can be seen of the sockets, the signing key and the
// superadmins. A start finds that when it opens them.
func CheckAll(cfg config.Config, admins Admins) error {
	found := []error{Check(cfg), checkSocket("server.listen", cfg.Server.Socket()), checkSocket("server.metrics_listen", cfg.Server.MetricsSocket()), checkKeyFile(cfg)}
	if exists, err := store.Exists(StoreConfig(cfg, nil)); err == nil && exists {
		found = append(found, checkAdmins(cfg, admins))
	}
	return gather(found...)
}

// gather makes one list of faults.
func gather(found ...error) error {
	var all config.Faults
	for _, err := range found {
		if faults, ok := errors.AsType[config.Faults](err); ok {
			all = append(all, faults...)
		} else if bad, ok := errors.AsType[*fault.Error](err); ok && bad.Kind == fault.Invalid {
			all = append(all, config.Fault{What: bad.Message})
		} else if err != nil {
			all = append(all, config.Fault{What: err.Error()})
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// checkAdmins returns why a start is refused because of the first superadmin that it
// would create, or of those that exist.
func checkAdmins(cfg config.Config, admins Admins) error {
	passwords := newPasswords(cfg)
	defer passwords.Close()
	found := []error{CheckFirstAdmin(cfg, passwords, admins.Exist)}
	for _, email := range admins.Published {
		switch {
		case directory.ReplacesDefault(cfg.Auth.AdminEmail, string(cfg.Auth.AdminPassword), email) && cfg.Auth.AutoCreateAdmin:
			found = append(found, directory.CheckAdmin(passwords, email, string(cfg.Auth.AdminPassword)))
		case exposed(cfg.Server):
			found = append(found, refuseDefaultPassword(cfg.Server, email))
		}
	}
	return gather(found...)
}

func dataDir(cfg config.Config) *datadir.Folder {
	return datadir.New(cfg.Auth.DataDir, slog.New(slog.DiscardHandler))
}

// checkKeyFile examines the file of the active key of auth.algorithm where keys are files.
func checkKeyFile(cfg config.Config) error {
	folder := dataDir(cfg)
	if cfg.Keys.AtRest != "sealed" && folder.Check() == nil { // else Check says it
		private, _ := vault.PairNames(jose.Algorithm(cfg.Auth.Algorithm))
		_, err := folder.ReadPrivate(private)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// checkNew returns what a start would refuse after it has made the database, so that it
// is refused before and leaves nothing behind.
func checkNew(cfg config.Config) error {
	if open := cfg.Auth.RegistrationEnabled || !cfg.Explicit("auth.registration_enabled"); open && cfg.Auth.RegistrationOrg != identity.DefaultOrg {
		return unknownRegistrationOrg(cfg.Auth.RegistrationOrg)
	}
	folder := dataDir(cfg)
	if folder.Check() == nil { // else Check says it
		_, err := vault.Files{Folder: folder}.FirstPair(jose.Algorithm(cfg.Auth.Algorithm))
		return err
	}
	return nil
}

// checkStream returns why the file of the audit stream cannot be written.
func checkStream(path string) error {
	if path == "" || path == "stdout" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("audit.stream: %s is a folder", path)
	case err == nil:
		err = owner.MayWrite(path)
	case errors.Is(err, fs.ErrNotExist):
		err = mayFill(filepath.Dir(path))
	}
	return refused("audit.stream", path, err)
}

// checkSocket returns why a start cannot make the socket of the setting; empty: it has none.
func checkSocket(setting, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s: %s exists and is no socket; remove it, or set another path", setting, path)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		err = mayFill(filepath.Dir(path))
	}
	return refused(setting, path, err)
}

// mayFill returns why nothing can be made in the folder.
func mayFill(folder string) error {
	switch _, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist; make it, or set another path", folder)
	case err != nil:
		return err
	}
	return owner.MayWrite(folder)
}

// refused is why the file that a setting names cannot be made or written; nil without err.
func refused(setting, path string, err error) error {
	if err == nil {
		return nil
	}
	if why := owner.Denied(path, err); why != "" {
		return fmt.Errorf("%s: %s cannot be written: %s", setting, path, why)
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// checkIssuer returns why nothing can be served under the path of the issuer.
func checkIssuer(issuer string) error {
	if _, err := web.ParseIssuer(issuer); err != nil {
		return fmt.Errorf("auth.issuer: %w", err)
	}
	return nil
}
