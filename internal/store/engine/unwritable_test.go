package engine

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestAReadOnlyFileSystemIsNoQuestionOfTheUser(t *testing.T) {
	for number, want := range map[syscall.Errno]string{
		syscall.EROFS:  "mount its file system so that it can be written",
		syscall.EACCES: "run the program as the user that owns it",
	} {
		err := unwritable("/srv/auth.db", &fs.PathError{Op: "access", Path: "/srv/auth.db", Err: number})
		if text := err.Error(); !strings.Contains(text, want) || strings.Contains(text, "as the user") == (number == syscall.EROFS) {
			t.Errorf("%s: %s", number, text)
		}
	}
}
