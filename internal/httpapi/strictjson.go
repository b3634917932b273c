package httpapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth is the maximum nesting of arrays and objects.
const maxJSONDepth = 20

// malformed is why a body is not one strict JSON document. The message never
// quotes the body.
type malformed string

// Error implements error.
func (m malformed) Error() string { return string(m) }

const (
	errNotUTF8   malformed = "the request body is not valid UTF-8"
	errSyntax    malformed = "the request body is not one JSON document"
	errSurrogate malformed = "the request body holds half of a surrogate pair"
	errDuplicate malformed = "the request body has a duplicate field"
	errDepth     malformed = "the request body is nested too deeply"
)

// checkJSON refuses what encoding/json accepts although two parsers may
// understand it differently: invalid UTF-8 and lone surrogates (both become
// U+FFFD, so that different passwords compare equal), duplicate fields, and
// unlimited nesting. The grammar itself is encoding/json's.
func checkJSON(data []byte) error {
	switch {
	case !utf8.Valid(data):
		return errNotUTF8
	case !json.Valid(data):
		return errSyntax
	case loneSurrogate(data):
		return errSurrogate
	default:
		return checkStructure(data)
	}
}

// loneSurrogate scans the \u escapes of a valid JSON document, which has no
// backslashes outside of strings.
func loneSurrogate(data []byte) bool {
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return false
		}
		data = data[i:]
		if data[1] != 'u' {
			data = data[2:]
			continue
		}
		r := escaped(data)
		data = data[6:]
		if !utf16.IsSurrogate(r) {
			continue
		}
		if len(data) < 6 || utf16.DecodeRune(r, escaped(data)) == utf8.RuneError {
			return true
		}
		data = data[6:]
	}
}

// escaped is the code unit of the \uXXXX at the start of data, and 0 if
// there is none.
func escaped(data []byte) rune {
	if data[0] != '\\' || data[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// container is an open array or object.
type container struct {
	names map[string]bool // nil: an array
	value bool            // in an object: a name was read, its value comes next
}

// checkStructure walks the tokens of a valid JSON document.
func checkStructure(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // 1e999 is a valid number, although no float64
	var open []container
	for {
		token, err := dec.Token()
		if err != nil {
			return errSyntax
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
		} else if open, err = enter(open, token); err != nil {
			return err
		}
		if len(open) == 0 {
			return nil
		}
	}
}

// enter processes one token other than a closing one.
func enter(open []container, token json.Token) ([]container, error) {
	if len(open) > 0 {
		in := &open[len(open)-1]
		if name, ok := token.(string); ok && in.names != nil && !in.value {
			if in.names[name] {
				return open, errDuplicate
			}
			in.names[name], in.value = true, true
			return open, nil
		}
		in.value = false
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return open, nil
	}
	if len(open) == maxJSONDepth {
		return open, errDepth
	}
	c := container{}
	if delim == '{' {
		c.names = map[string]bool{}
	}
	return append(open, c), nil
}
