package engine

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNoDatabase means that there is no file, or an empty one.
var ErrNoDatabase = errors.New("there is no database yet")

// OpenUnchanged opens a SQLite file so that neither it nor any other file in its
// folder changes, even while a server has it open. It needs no space on the disk and
// no right to write there, unless a log without its index was left behind. The
// function returned closes it.
//
// A reader of a file in write-ahead mode creates the files -wal and -shm if they
// are missing. So only a log with an index is read in place: a server has both open,
// or a crash left both, and then SQLite builds the index in memory. A file without a
// log is complete by itself and is read as immutable, an index that was left alone
// means nothing; if a server starts at that moment, see Settled. A log without an index
// is applied to a private copy.
func OpenUnchanged(path string) (*sql.DB, func() error, error) {
	wal, err := readJournalMode(path)
	if err != nil {
		return nil, nil, err
	}
	log, logErr := os.Stat(path + "-wal")
	switch {
	case !wal || mayBeOpen(path):
		return openReadOnly(path, "readonly_shm=1")
	case logErr != nil || log.Size() == 0:
		return openReadOnly(path, "immutable=1")
	default:
		return openCopy(path)
	}
}

// Settled returns a function that reports whether the file at path is still what it
// is now. A file that was read as immutable must be: the result of a longer read is
// void otherwise. A file that a process has open counts as settled, since SQLite
// then gives each reader a snapshot.
func Settled(path string) func() bool {
	before, err := os.Stat(path)
	if mayBeOpen(path) || err != nil {
		return func() bool { return true }
	}
	return func() bool {
		after, err := os.Stat(path)
		return err == nil && !mayBeOpen(path) && os.SameFile(before, after) && before.Size() == after.Size() && before.ModTime().Equal(after.ModTime())
	}
}

// mayBeOpen reports whether the file has a log and its index, as while a process has it
// open, which makes the log first.
func mayBeOpen(path string) bool {
	_, log := os.Stat(path + "-wal")
	_, index := os.Stat(path + "-shm")
	return log == nil && index == nil
}

// readJournalMode reports whether a file says that it is in write-ahead mode.
func readJournalMode(path string) (wal bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, ErrNoDatabase
	}
	if err != nil {
		return false, BadFile(path, "cannot be read", err)
	}
	defer file.Close()
	var header [20]byte
	switch _, err := io.ReadFull(file, header[:]); {
	case errors.Is(err, io.EOF):
		return false, ErrNoDatabase
	case errors.Is(err, io.ErrUnexpectedEOF):
		return false, nil // SQLite will report what is wrong with it
	case err != nil:
		return false, BadFile(path, "cannot be read", err)
	}
	// Bytes 18 and 19 are the versions to write and to read; 2 is write-ahead.
	return binary.BigEndian.Uint16(header[18:]) == 0x0202, nil
}

// openReadOnly keeps the data of sorts in memory: the folder for temporary files may
// be on the disk that is full.
func openReadOnly(path, param string) (*sql.DB, func() error, error) {
	escaped := (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	params := []string{"mode=ro", param, "_pragma=" + busyTimeout, "_pragma=temp_store(2)"}
	db, err := sql.Open("sqlite", "file:"+escaped+"?"+strings.Join(params, "&"))
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, db.Close, nil
}

// openCopy opens a copy of the file and its log, which is removed when it is closed.
func openCopy(path string) (*sql.DB, func() error, error) {
	folder, err := copyAway(path)
	if err != nil {
		return nil, nil, BadFile(path, "has a write-ahead log, so a copy of it is read; set TMPDIR to a folder with space for both", err)
	}
	remove := func() error { return os.RemoveAll(folder) }
	db, err := OpenFile(filepath.Join(folder, copyName), "temp_store(2)")
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	hide(db, remove)
	return db, func() error { return errors.Join(db.Close(), remove()) }, nil
}

// hide removes the copy while its only connection has it open: a process that is killed
// must not leave the hashes of all passwords in a folder for temporary files. Where a
// system removes no open files, or the file is damaged, the copy is removed at its end.
func hide(db *sql.DB, remove func() error) {
	db.SetMaxOpenConns(1) // another one could not open it
	var mode string
	for _, pragma := range []string{"PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = MEMORY"} { // applies the log; needs no file
		if err := db.QueryRowContext(context.Background(), pragma).Scan(&mode); err != nil {
			return // the reader is told
		}
	}
	if mode == "memory" && runtime.GOOS != "windows" {
		_ = remove() // again at the end
	}
}

const copyName = "auth.db"

// copyAway copies the file and its log into a new folder: in the one for temporary
// files, or else in memory, where the system has such a folder.
func copyAway(path string) (folder string, err error) {
	for _, parent := range []string{os.TempDir(), "/dev/shm"} {
		var failed error
		if folder, failed = os.MkdirTemp(parent, "pico-auth-check-"); failed == nil {
			copied := filepath.Join(folder, copyName)
			if failed = errors.Join(CopyFile(copied, path), CopyFile(copied+"-wal", path+"-wal")); failed == nil {
				return folder, nil
			}
			_ = os.RemoveAll(folder) // the first error counts
		}
		if err == nil {
			err = failed
		}
	}
	return "", err
}

// CopyFile writes a copy of a file that is not open as a database. The copy must not
// exist, and only its owner can read it.
func CopyFile(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
