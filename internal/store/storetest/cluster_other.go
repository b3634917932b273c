//go:build !unix

package storetest

// startCluster starts nothing where there are no Unix sockets and users.
func startCluster() (databaseURL string, stop func(), err error) {
	return "", nil, errNoPostgres
}
