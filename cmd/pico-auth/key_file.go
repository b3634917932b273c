package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxKeyFile is more than the size of any private key.
const maxKeyFile = 64 << 10

// readKeyFile checks the type of the file before it opens it: opening a pipe blocks,
// and opening a device may have side effects.
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, usage("%s is not a regular file; a private key is read from one", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = usage("%s is too long to be a key", path)
	}
	return data, err
}

// keyFile is a new file that other users cannot read.
type keyFile struct{ *os.File }

func newKeyFile(path string) (keyFile, error) {
	if path == "-" {
		return keyFile{}, usage("a private key is not printed; use --out FILE, or ./- for a file of this name")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return keyFile{}, fmt.Errorf("%s exists already; a private key is not written over a file", path)
	}
	if err != nil {
		return keyFile{}, fmt.Errorf("--out: %w", err)
	}
	return keyFile{f}, nil
}

// write commits the content, or leaves no file behind.
func (f keyFile) write(data []byte) error {
	_, err := f.Write(data)
	if err = errors.Join(err, f.Sync()); err != nil {
		return errors.Join(err, f.discard())
	}
	return f.Close()
}

func (f keyFile) discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
