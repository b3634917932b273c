package store

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestALongStartSaysWhatItDoesEveryTenSeconds(t *testing.T) {
	for lasts, lines := range map[time.Duration]int{delayedAfter / 2: 0, 31*time.Second + delayedAfter/2: 4} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			told := 0
			s := &Store{log: slog.New(slog.NewTextHandler(&log, nil))}
			done := s.delayed(Config{Delayed: func() { told++ }}, "migrating", "to", 14)
			time.Sleep(lasts)
			synctest.Wait()
			done()
			done()
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := strings.Count(log.String(), "msg=migrating to=14 since="); n != lines || told != lines {
				t.Errorf("after %s: %d lines, told %d times:\n%s", lasts, n, told, log.String())
			}
		})
	}
}
