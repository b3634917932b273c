package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/pico-auth/pico-auth/internal/store/engine"
)

const (
	// verifiedAtOpen is the size in bytes up to which Open examines a SQLite file
	// itself, in a millisecond or two. Verify examines a larger one.
	verifiedAtOpen = 2 << 20
	// openPatience ends that examination on a slow disk. Verify then repeats it.
	openPatience = 2 * time.Second
	// verifyPatience limits an examination in the background: it reads the whole file.
	verifyPatience = 10 * time.Minute
)

// remedy is what an operator does about damage.
const remedy = "restore a backup, or, if only indexes are named, stop the server, copy the file and run `sqlite3 FILE REINDEX`"

// verifyAtOpen refuses a small database that is damaged, in its indexes too, before
// anything is done with it.
func (s *Store) verifyAtOpen(ctx context.Context, db *sql.DB) error {
	if size := s.file.Size(); size == 0 || size > verifiedAtOpen {
		s.verified.Store(size == 0) // it was made just now
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	finding, err := integrity(bounded, db, "")
	switch {
	case bounded.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case finding != "":
		return engine.BadFile(s.target.Path, "is damaged ("+finding+"); "+remedy, nil)
	}
	s.verified.Store(true)
	// The connection that writes must not keep the pages: later damage would be hidden by them.
	_, err = db.ExecContext(ctx, "PRAGMA shrink_memory")
	return err
}

// Verify examines every page and every index of a SQLite file, beside requests. Damage
// is permanent: it is logged, Ping and Stats report it from then on, and the error is
// engine.ErrDamaged. Right after an Open that examined the file, and on PostgreSQL, it
// does nothing. It gives up after ten minutes, which is logged.
func (s *Store) Verify(ctx context.Context) error {
	if s.writer == nil || s.verified.Swap(false) {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	tables, err := engine.Tables(bounded, s.reads, s.target.Engine)
	for done := 0; err == nil && done < len(tables); done++ {
		var finding string
		// A snapshot for each table lets checkpoints go on between them.
		if finding, err = integrity(bounded, s.reads, tables[done]); finding != "" {
			err = engine.DamagedBy(errors.New(finding))
		}
		if bounded.Err() != nil && ctx.Err() == nil {
			s.log.Warn("database too large to be examined in the background; run `pico-auth migrate --check` on a copy",
				"tables", len(tables), "examined", done, "after", verifyPatience.String())
			return nil
		}
	}
	return s.classifyRead(ctx, err)
}

// integrity examines one table with its indexes, or with an empty name everything. It
// returns the first findings, empty when there are none.
func integrity(ctx context.Context, q engine.Querier, table string) (finding string, err error) {
	pragma := "PRAGMA integrity_check(3)"
	if table != "" {
		pragma = `PRAGMA integrity_check("` + strings.ReplaceAll(table, `"`, `""`) + `")`
	}
	findings, err := engine.Names(ctx, q, pragma)
	if err != nil || len(findings) == 1 && findings[0] == "ok" {
		return "", err
	}
	// One row may have several lines, after one that names the database.
	text := strings.TrimPrefix(strings.Join(findings[:min(len(findings), 3)], "\n"), "*** in database main ***\n")
	return strings.ReplaceAll(text, "\n", "; "), nil
}
