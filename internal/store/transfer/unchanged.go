package transfer

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

// errNoDatabase means that there is no file, or an empty one.
var errNoDatabase = errors.New("there is no database yet")

// openUnchanged opens a SQLite file so that neither it nor any other file in its
// folder changes, even while a server has it open. The function returned closes it.
//
// A reader of a file in write-ahead mode creates the files -wal and -shm if they
// are missing. So only a log that a process has open is read in place; a
// file without one is complete by itself and is read as immutable; and a log that a
// crash left is applied to a private copy.
func openUnchanged(path string) (*sql.DB, func() error, error) {
	wal, err := readJournalMode(path)
	if err != nil {
		return nil, nil, err
	}
	_, shmErr := os.Stat(path + "-shm")
	log, logErr := os.Stat(path + "-wal")
	switch {
	case !wal || shmErr == nil:
		return openReadOnly(path, "mode=ro")
	case logErr != nil || log.Size() == 0:
		return openReadOnly(path, "mode=ro", "immutable=1")
	default:
		return openCopy(path)
	}
}

// readJournalMode reports whether a file says that it is in write-ahead mode.
func readJournalMode(path string) (wal bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, errNoDatabase
	}
	if err != nil {
		return false, engine.BadFile(path, "cannot be read", err)
	}
	defer file.Close()
	var header [20]byte
	switch _, err := io.ReadFull(file, header[:]); {
	case errors.Is(err, io.EOF):
		return false, errNoDatabase
	case errors.Is(err, io.ErrUnexpectedEOF):
		return false, nil // SQLite will report what is wrong with it
	case err != nil:
		return false, engine.BadFile(path, "cannot be read", err)
	}
	// Bytes 18 and 19 are the versions to write and to read; 2 is write-ahead.
	return binary.BigEndian.Uint16(header[18:]) == 0x0202, nil
}

func openReadOnly(path string, params ...string) (*sql.DB, func() error, error) {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	params = append(params, "_pragma=busy_timeout(5000)")
	db, err := sql.Open("sqlite", "file:"+escaped+"?"+strings.Join(params, "&"))
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, db.Close, nil
}

// openCopy opens a copy of the file and its log, which is removed when it is closed.
func openCopy(path string) (*sql.DB, func() error, error) {
	folder, err := os.MkdirTemp("", "pico-auth-check-")
	if err != nil {
		return nil, nil, engine.BadFile(path, "cannot be read", err)
	}
	remove := func() error { return os.RemoveAll(folder) }
	copied := filepath.Join(folder, "auth.db")
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(copied+suffix, path+suffix); err != nil {
			return nil, nil, errors.Join(engine.BadFile(path, "cannot be read", err), remove())
		}
	}
	db, err := engine.OpenFile(copied)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return db, func() error { return errors.Join(db.Close(), remove()) }, nil
}

func copyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
