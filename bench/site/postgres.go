//go:build linux

package site

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/pico-auth/pico-auth/internal/postgrestest"
)

// Postgres returns the URL of an empty database and a function that removes it:
// on the server of TEST_DATABASE_URL, else on one of the machine's own binaries,
// with PostgreSQL's own durability, in a folder below parent. Its error is
// postgrestest.ErrMissing where there is neither.
func Postgres(ctx context.Context, parent string) (databaseURL string, stop func(), err error) {
	server, end := os.Getenv("TEST_DATABASE_URL"), func() {}
	if server == "" {
		if server, end, err = postgrestest.Start(parent, "shared_buffers=128MB"); err != nil {
			return "", nil, err
		}
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, errors.New("TEST_DATABASE_URL is not a URL")
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, err
	}
	name := fmt.Sprintf("pico_bench_%d_%d", os.Getpid(), time.Now().UnixNano())
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		end()
		return "", nil, fmt.Errorf("create a database: %w", err)
	}
	u.Path = "/" + name
	return u.String(), func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)") // a server of ours goes whole
		_ = db.Close()
		end()
	}, nil
}
