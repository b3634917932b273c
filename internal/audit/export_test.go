package audit

import "time"

// SetNow replaces the clock of the log.
func SetNow(l *Log, now func() time.Time) { l.now = now }
