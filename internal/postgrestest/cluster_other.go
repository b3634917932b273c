//go:build !unix

package postgrestest

// Start finds no server where there are no Unix sockets and users.
func Start(string, ...string) (databaseURL string, stop func(), err error) {
	return "", nil, ErrMissing
}
