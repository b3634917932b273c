package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pico-auth/pico-auth/internal/fault"
	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/owner"
	"github.com/pico-auth/pico-auth/internal/store"
)

const (
	folderMode  fs.FileMode = 0o700
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644

	maxFile = 64 << 10
)

// Folder is the folder of the key files. It only reads; Lock returns a Writer.
type Folder struct {
	path string
	log  *slog.Logger
}

// NewFolder returns the folder at path, which need not exist.
func NewFolder(path string, log *slog.Logger) *Folder { return &Folder{path: path, log: log} }

// Join is the path of a file in the folder.
func (f *Folder) Join(name string) string { return filepath.Join(f.path, name) }

func (f *Folder) exists(name string) bool {
	_, err := os.Lstat(f.Join(name))
	return err == nil
}

// Load returns the private half of a recorded key: from a file of its own, or from that
// of the first key of its algorithm.
func (f *Folder) Load(k Key) (Secret, error) {
	files, want := FilesOf(k.PublicKey.Algorithm()), k.PublicKey.Thumbprint()
	remedy := "restore it from a backup; " + giveUp(k.SigningKey, "move it away and run")
	for _, name := range []string{files.own(k.KID), files.Private} {
		secret, err := f.private(files, name, remedy)
		switch {
		case err == nil && secret.Key.Public().Thumbprint() == want:
			return secret, nil
		case err == nil && name != files.Private:
			return Secret{}, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
				"%s holds another key than the one in its name; restore it from a backup", secret.File))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return Secret{}, err
		}
	}
	return Secret{}, lost(k.SigningKey, f.path)
}

// Pair returns the private half of the first key of an algorithm, which must belong to
// the public one beside it if there is one; fs.ErrNotExist when it is missing. remedy
// tells the operator what to do about a damaged private file.
func (f *Folder) Pair(files Files, remedy string) (Secret, error) {
	secret, err := f.private(files, files.Private, remedy)
	if err != nil {
		return Secret{}, err
	}
	if _, err := f.compare(files, secret.Key); !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	return secret, nil
}

func (f *Folder) private(files Files, name, remedy string) (Secret, error) {
	raw, err := f.ReadPrivate(name)
	if err != nil {
		return Secret{}, err
	}
	secret := Secret{File: f.Join(name), Raw: raw}
	if secret.Key, err = files.Parse(raw); err != nil {
		return Secret{}, secret.Unusable(err, remedy)
	}
	return secret, nil
}

// compare reads the public file of a pair, and returns its mode.
func (f *Folder) compare(files Files, key *jose.PrivateKey) (fs.FileMode, error) {
	public, info, err := f.read(files.Public)
	if err != nil {
		return 0, err
	}
	thumbprint, err := files.thumbprint(public)
	if err != nil {
		return 0, Secret{File: f.Join(files.Public)}.Unusable(err, "delete it to have it derived from "+files.Private)
	}
	if thumbprint != key.Public().Thumbprint() {
		return 0, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s and %s are halves of different keys; restore the right one from a backup, or, if %s is the right one, delete the public file to have it derived",
			f.Join(files.Private), f.Join(files.Public), files.Private))
	}
	return info.Mode(), nil
}

// File returns the path of the private half of a key. The file may be missing.
func (f *Folder) File(k Key) string {
	files := FilesOf(k.PublicKey.Algorithm())
	if f.exists(files.own(k.KID)) {
		return f.Join(files.own(k.KID))
	}
	return f.Join(files.Private)
}

// Unknown returns the files of keys that are not in the database. Such a file may be
// left by a crash between the file and its row, or be the only copy of a key of
// another database, so it is not removed.
func (f *Folder) Unknown(set store.KeySet) (files []string) {
	for _, name := range f.names() {
		kid, ours := strings.CutPrefix(name, "key-")
		kid, pem := strings.CutSuffix(kid, ".pem")
		kid, bin := strings.CutSuffix(kid, ".bin")
		if ours && (pem || bin) && set.Key(kid) == nil {
			files = append(files, f.Join(name))
		}
	}
	return files
}

// names lists the folder. filepath.Glob does not work here: the path of the folder
// may contain characters that are special in a pattern.
func (f *Folder) names() (all []string) {
	entries, _ := os.ReadDir(f.path) // an unreadable folder has no files to remove
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
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
