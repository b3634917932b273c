package fault

import (
	"errors"
	"strings"
)

// Gather joins the verdicts on the fields of one request into one Invalid error
// with every bad field and every sentence. A nil verdict is a good field; nil is
// returned when all are. A verdict that is no validation fault (the database is
// unavailable) is returned alone, since the others may be wrong then.
func Gather(verdicts ...error) error {
	var fields []Field
	for _, verdict := range verdicts {
		if verdict == nil {
			continue
		}
		var bad *Error
		if !errors.As(verdict, &bad) || bad.Kind != Invalid || len(bad.Fields) == 0 {
			return verdict
		}
		fields = append(fields, bad.Fields...)
	}
	switch len(fields) {
	case 0:
		return nil
	case 1:
		return BadField(fields[0].Name, fields[0].Message)
	default:
		sentences := make([]string, len(fields))
		for i, f := range fields {
			sentences[i] = f.Message
		}
		return &Error{Kind: Invalid, Code: "validation_failed", Message: strings.Join(sentences, "; "), Fields: fields}
	}
}
