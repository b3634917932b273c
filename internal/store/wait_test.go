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
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		told := 0
		s := &Store{log: slog.New(slog.NewTextHandler(&log, nil))}
		done := s.delayed(Config{Delayed: func() { told++ }}, "migrating", "to", 14)
		time.Sleep(delayedAfter / 2)
		synctest.Wait()
		if told != 0 || log.Len() > 0 {
			t.Errorf("a usual start tells %d times: %s", told, log.String())
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		done()
		done()
		time.Sleep(time.Minute)
		if lines := strings.Count(log.String(), "msg=migrating to=14 since="); lines != 4 || told != 4 {
			t.Errorf("%d lines, told %d times:\n%s", lines, told, log.String())
		}
	})
}
