package engine

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/owner"
)

// Explain tells the operator why the target cannot be opened. Faults pass through.
func (t Target) Explain(err error) error {
	if t.Engine == Postgres {
		return t.explainServer(err)
	}
	return explainFile(t.Path, err)
}

// explainFile describes what is wrong with the file.
func explainFile(path string, err error) error {
	var already *fault.Error
	var lite *sqlite.Error
	switch {
	case errors.As(err, &already), !errors.As(err, &lite):
		return err
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return BadFile(path, "is not a SQLite database", lite)
	case sqlite3.SQLITE_CORRUPT:
		return BadFile(path, "is damaged; restore a backup, or examine it with `migrate --check`", err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		if denied := owner.MayWrite(path); errors.Is(denied, syscall.EROFS) {
			return unwritable(path, denied)
		}
		return BadFile(path, "cannot be opened for writing; run the program as the user that owns it: "+owner.Describe(path), err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.Wrap(fault.Unavailable, "unavailable", fmt.Sprintf("the database %s is locked by another process", path), err)
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return fault.Wrap(fault.Unavailable, "unavailable", fmt.Sprintf("the database %s cannot be written: the disk is full or failing", path), err)
	default:
		return err
	}
}

// unwritable is the fault of a file that this process may not write.
func unwritable(path string, denied error) error {
	if errors.Is(denied, syscall.EROFS) {
		return BadFile(path, "cannot be opened for writing; mount its file system so that it can be written; commands that only read, such as `user list` and `backup`, work without", denied)
	}
	return BadFile(path, "cannot be opened for writing; run the program as the user that owns it", denied)
}

// explainServer describes what is wrong with the server.
func (t Target) explainServer(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	server := "PostgreSQL at " + t.address() + " "
	if t.Pooled() {
		server = "the connection pooler at " + t.address() + " "
	}
	if refusesParameters(err) {
		return fault.Wrap(fault.Invalid, "database_pooler", server+"refuses the parameter "+t.refusedParameter(err)+" of database.url; remove it there, and set it on the server (ALTER ROLE ... SET ...)", err)
	}
	if refusesTransactions(err) {
		return fault.Wrap(fault.Invalid, "database_pooler", server+"has pool_mode = statement, which allows no transactions; set it to transaction or session", err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "28P01", "28000":
			return fault.Wrap(fault.Unavailable, "database_login", server+"refused the user or the password of database.url", pg)
		case "3D000":
			return fault.Wrap(fault.Unavailable, "database_name", server+"has no database of the name in database.url", pg)
		case "42501":
			if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
				return fault.Wrap(fault.Forbidden, "database_rights", server+"does not let this user connect to the database: "+pg.Message+"; run GRANT CONNECT", err)
			}
			return fault.Wrap(fault.Forbidden, "database_rights", server+"does not let this user create or change tables", oneLine{err})
		case "42704", "22023": // unknown parameter, value that it does not take
			if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
				return fault.Wrap(fault.Invalid, "database_parameter", server+"refuses a parameter of database.url: "+pg.Message+"; correct it, or remove it", pg)
			}
		}
	}
	if errors.Is(err, pgconn.ErrReadOnlyConnection) || errors.Is(err, pgconn.ErrStandbyConnection) || IsReadOnly(err) {
		return fault.Wrap(fault.Unavailable, "unavailable", server+"takes no writes: it is a standby, or read-only", pgconn.ErrReadOnlyConnection)
	}
	if IsPassing(err) {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
			return fault.Wrap(fault.Unavailable, "unavailable", server+"refuses connections", pg)
		}
		if strings.HasSuffix(err.Error(), "server refused TLS connection") {
			return fault.New(fault.Unavailable, "unavailable", server+"does not speak TLS, which sslmode of database.url demands; enable it there (ssl = on), or use sslmode=disable on a network that is yours alone")
		}
		return fault.Wrap(fault.Unavailable, "unavailable", server+"does not answer", oneLine{err})
	}
	return err
}

// oneLine has the text of the last attempt to connect. pgx writes user, database and
// every attempt, on a line each.
type oneLine struct{ error }

func (e oneLine) Unwrap() error { return e.error }

func (e oneLine) Error() string {
	if op, ok := errors.AsType[*net.OpError](e.error); ok {
		return op.Error()
	}
	if name, ok := errors.AsType[*net.DNSError](e.error); ok {
		return name.Err // the address is in the sentence
	}
	text := e.error.Error()
	if connect, ok := errors.AsType[*pgconn.ConnectError](e.error); ok {
		text = connect.Unwrap().Error()
	}
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// refusedParameter is the parameter of the URL that a pooler refuses.
func (t Target) refusedParameter(err error) string {
	for name := range t.Server.RuntimeParams {
		if strings.Contains(err.Error(), "unsupported startup parameter: "+name) {
			return name
		}
	}
	return "options"
}

// address is the server's, or that of each server of database.url.
func (t Target) address() string {
	all := []string{hostPort(t.Server.Host, t.Server.Port)}
	for _, f := range t.Server.Fallbacks { // one more for each kind of encryption to try
		if next := hostPort(f.Host, f.Port); !slices.Contains(all, next) {
			all = append(all, next)
		}
	}
	return strings.Join(all, ", ")
}

func hostPort(host string, port uint16) string {
	_, address := pgconn.NetworkAddress(host, port)
	return address
}
