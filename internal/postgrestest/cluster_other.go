//go:build !unix

package postgrestest

// Start returns ErrMissing: it needs Unix sockets and users.
func Start(string, ...string) (databaseURL string, stop func(), err error) {
	return "", nil, ErrMissing
}
