package main

import (
	"context"
	"fmt"

	"github.com/pico-auth/pico-auth/internal/config"
	"github.com/pico-auth/pico-auth/internal/store"
	"github.com/pico-auth/pico-auth/internal/store/transfer"
)

// moving returns warnings for an operator who moves from the Python server: its database
// is here and is not the configured one, or a variable that it ignored has an effect now.
// adopts says that the configured database is the Python server's. The configured one is
// not looked at.
func moving(ctx context.Context, cfg config.Config, adopts bool) (warnings []string) {
	configured := string(cfg.Database.URL)
	left := []string{string(config.Default().Database.URL)}
	for _, r := range cfg.Replaced() {
		if r.Key == "database.url" && r.Of != "default" {
			left = append(left, string(r.Former))
		}
	}
	for _, url := range left {
		if transfer.SameFile(url, configured) || !transfer.Original(ctx, url) {
			continue
		}
		adopts = true
		what := "another database"
		if exists, err := store.Exists(store.Config{URL: configured}); err == nil && !exists {
			what = "a database that does not exist yet"
		}
		warnings = append(warnings, fmt.Sprintf("the database of a Python server at %s is not used: database.url (%s) names %s, %s; to adopt it set database.url to %[1]s",
			config.Database{URL: config.Secret(url)}.Redacted(), cfg.Origins()["database.url"], what, cfg.Database.Redacted()))
	}
	if adopts {
		for _, r := range cfg.Replaced() {
			warnings = append(warnings, r.Warning())
		}
	}
	return warnings
}
