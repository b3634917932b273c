package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/owner"
)

const (
	folderMode  fs.FileMode = 0o700
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644

	maxFile = 64 << 10
)

// Folder is auth.data_dir. It only reads; Lock returns a Writer.
type Folder struct {
	path string
	log  *slog.Logger
}

// New returns the folder at path, which need not exist.
func New(path string, log *slog.Logger) *Folder { return &Folder{path: path, log: log} }

// Path is the path of the folder.
func (f *Folder) Path() string { return f.path }

// Join is the path of a file in the folder.
func (f *Folder) Join(name string) string { return filepath.Join(f.path, name) }

// Has reports whether something in the folder has that name.
func (f *Folder) Has(name string) bool {
	_, err := os.Lstat(f.Join(name))
	return err == nil
}

// Names lists the folder; one that cannot be read is empty. filepath.Glob does not work
// here: the path of the folder may contain characters that are special in a pattern.
func (f *Folder) Names() (all []string) {
	entries, _ := os.ReadDir(f.path)
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// Check returns why the folder is refused, without changing it. One that does not exist
// is no fault.
func (f *Folder) Check() error {
	_, err := f.examine()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := owner.MayCreate(f.path); err != nil {
		return folderFault(f.path, "cannot be created", err)
	}
	return nil
}

// examine returns what is at the path of the folder.
func (f *Folder) examine() (fs.FileInfo, error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, folderFault(f.path, "cannot be read", err)
	case !info.IsDir():
		return nil, fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s is not a folder", f.path))
	case looser(info.Mode(), folderMode) && info.Mode()&fs.ModeSticky != 0:
		return nil, fault.New(fault.Invalid, "data_dir",
			fmt.Sprintf("auth.data_dir %s is a folder shared by all users; signing keys need one of their own", f.path))
	}
	return info, nil
}

// ReadPrivate reads a file that other users must not be able to read. The error of a
// missing file is fs.ErrNotExist.
func (f *Folder) ReadPrivate(name string) ([]byte, error) {
	data, info, err := f.read(name)
	if err != nil {
		return nil, err
	}
	if looser(info.Mode(), privateMode) {
		return nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s is open to other users (mode %s), so they may know the key; if they do not, run: chmod 600 %[1]s",
			f.Join(name), modeText(info.Mode())))
	}
	return data, nil
}

// ReadPublic reads a file that everyone may read. The error of a missing file is
// fs.ErrNotExist.
func (f *Folder) ReadPublic(name string) ([]byte, error) {
	data, _, err := f.read(name)
	return data, err
}

// read accepts a regular file only, by its own name: the creator of a symbolic link
// could choose the key, and opening a pipe would block forever.
func (f *Folder) read(name string) ([]byte, fs.FileInfo, error) {
	path := f.Join(name)
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	if reason := notRegular(named.Mode()); reason != "" {
		return nil, nil, fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s is %s; it must be a regular file", path, reason))
	}
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fileFault(path, "cannot be read", err)
	}
	if !os.SameFile(named, info) {
		return nil, nil, fault.New(fault.Invalid, "key_file", path+" was replaced while it was being read")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, nil, fileFault(path, "cannot be read", err)
	case len(data) > maxFile:
		return nil, nil, fault.New(fault.Invalid, "key_file", path+" is too long to be a key")
	}
	return data, info, nil
}

func notRegular(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsDir():
		return "a folder"
	}
	return "neither a file nor a folder"
}

// looser reports whether mode has permissions that most lacks.
func looser(mode, most fs.FileMode) bool {
	return permissionsMean && mode.Perm()&^most != 0
}

func modeText(mode fs.FileMode) string { return fmt.Sprintf("%#o", mode.Perm()) }

func folderFault(path, what string, cause error) error {
	return fault.New(fault.Invalid, "data_dir", fmt.Sprintf("auth.data_dir %s %s: %s", path, what, reason(path, cause)))
}

func fileFault(path, what string, cause error) error {
	return fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s %s: %s", path, what, reason(path, cause)))
}

// reason is a system error without the path, which the message contains already, and
// for missing rights with the owner and the mode of what stands in the way.
func reason(path string, err error) string {
	text := err.Error()
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		text = number.Error()
	}
	if denied := owner.Denied(path, err); denied != "" {
		text += "; " + denied
	}
	return text
}
