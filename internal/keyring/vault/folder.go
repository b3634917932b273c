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

var errEmpty = errors.New("it is empty")

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

// Load returns the private half of a recorded key: from its own file, or from that of
// the active key of its algorithm.
func (f *Folder) Load(k Key) (Secret, error) {
	files, err := FilesOf(k.PublicKey.Algorithm())
	if err != nil {
		return Secret{}, err
	}
	if !namesFile(k.KID) {
		return Secret{}, Unusable(k.SigningKey, errors.New("its key ID cannot be part of a file name"))
	}
	remedy := "restore it from a backup; " + GiveUp(k.SigningKey, "move it away and run")
	own, err := f.private(files, files.own(k.KID), remedy)
	switch {
	case err == nil && own.Key.Public().Thumbprint() != k.PublicKey.Thumbprint():
		return Secret{}, fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s holds another key than the one in its name; restore it from a backup", f.Join(own.name)))
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return own, err
	}
	secret, err := f.private(files, files.Private, remedy)
	if err == nil && secret.Key.Public().Thumbprint() != k.PublicKey.Thumbprint() || errors.Is(err, fs.ErrNotExist) {
		return Secret{}, lost(k.SigningKey, f.path)
	}
	return secret, err
}

// Pair returns the private half under the known names of an algorithm, which must
// belong to the public one beside it if there is one; fs.ErrNotExist when it is
// missing. remedy tells the operator what to do about a damaged private file.
func (f *Folder) Pair(files Files, remedy string) (Secret, error) {
	secret, err := f.private(files, files.Private, remedy)
	if err != nil {
		return Secret{}, err
	}
	public, _, err := f.read(files.Public)
	if errors.Is(err, fs.ErrNotExist) {
		return secret, nil
	}
	if err != nil {
		return Secret{}, err
	}
	return secret, f.compare(files, secret.Key, public)
}

func (f *Folder) private(files Files, name, remedy string) (Secret, error) {
	raw, err := f.ReadPrivate(name)
	if errors.Is(err, errEmpty) {
		return Secret{}, f.unusable(name, errEmpty, remedy)
	}
	if err != nil {
		return Secret{}, err
	}
	key, err := files.Parse(raw)
	if err != nil {
		return Secret{}, f.unusable(name, err, remedy)
	}
	return Secret{name: name, Raw: raw, Key: key}, nil
}

func (f *Folder) compare(files Files, key *jose.PrivateKey, public []byte) error {
	remedy := "delete it to have it derived from " + files.Private
	thumbprint, err := files.thumbprint(public)
	if err != nil {
		return f.unusable(files.Public, err, remedy)
	}
	if thumbprint != key.Public().Thumbprint() {
		return fault.New(fault.Invalid, "key_file", fmt.Sprintf(
			"%s and %s are halves of different keys; restore the right one from a backup, or, if %s is the right one, delete the public file to have it derived",
			f.Join(files.Private), f.Join(files.Public), files.Private))
	}
	return nil
}

// Unusable returns the error for a damaged file of a private half, with the remedy.
func (f *Folder) Unusable(secret Secret, cause error, remedy string) error {
	return f.unusable(secret.name, cause, remedy)
}

func (f *Folder) unusable(name string, cause error, remedy string) error {
	return fault.New(fault.Invalid, "key_file", fmt.Sprintf("%s cannot be used: %s; %s", f.Join(name), cause, remedy))
}

// File returns the path of the private half of a key: its own file, or else the
// known name. The file may be missing.
func (f *Folder) File(k Key) (string, error) {
	files, err := FilesOf(k.PublicKey.Algorithm())
	if err != nil {
		return "", err
	}
	if namesFile(k.KID) && f.exists(files.own(k.KID)) {
		return f.Join(files.own(k.KID)), nil
	}
	return f.Join(files.Private), nil
}

// List returns the file of each of the keys whose private half is in the folder.
func (f *Folder) List(keys []Key) map[string]string {
	found := map[string]string{}
	for _, k := range keys {
		files, err := FilesOf(k.PublicKey.Algorithm())
		if err != nil || !namesFile(k.KID) {
			continue
		}
		if f.exists(files.own(k.KID)) {
			found[k.KID] = f.Join(files.own(k.KID))
		} else if f.holds(files, k) {
			found[k.KID] = f.Join(files.Private)
		}
	}
	return found
}

// holds reports whether the private half of a key has the known name.
func (f *Folder) holds(files Files, k Key) bool {
	raw, err := f.ReadPrivate(files.Private)
	if err != nil {
		return false
	}
	key, err := files.Parse(raw)
	return err == nil && key.Public().Thumbprint() == k.PublicKey.Thumbprint()
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
	case len(data) == 0:
		return nil, nil, fault.Wrap(fault.Invalid, "key_file", path+" is empty; restore it from a backup, or move it away so that another one is created", errEmpty)
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
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		text = pathError.Err.Error()
	} else if linkError, ok := errors.AsType[*os.LinkError](err); ok {
		text = linkError.Err.Error()
	}
	if denied := owner.Denied(path, err); denied != "" {
		text += "; " + denied
	}
	return text
}
