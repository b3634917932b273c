//go:build !unix

package storetest

import "testing"

// Pooler skips the test: PgBouncer is started on Unix only.
func Pooler(t testing.TB, _ string, _ ...string) string {
	t.Helper()
	t.Skip("SKIPPED, NOTHING WAS TESTED THROUGH A POOLER: PgBouncer is started on Unix only")
	return ""
}
