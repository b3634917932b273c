package audit

import "time"

// SetNow makes the log live in another time.
func SetNow(l *Log, now func() time.Time) { l.now = now }
