package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStrictJSONRefusesWhatTwoParsersMayReadDifferently(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"an object", `{"a":1,"b":[true,null,"x"]}`, nil},
		{"a bare string", ` "x" `, nil},
		{"the same name in two objects", `[{"a":1},{"a":1}]`, nil},
		{"a name that is also a value", `{"a":"b","b":"a"}`, nil},
		{"an escaped pair", `"\ud83d\ude00"`, nil},
		{"an escaped backslash before a u", `"\\ud800"`, nil},
		{"the deepest nesting", deep(maxJSONDepth), nil},
		{"a number out of every range", `[1e999]`, nil},

		{"nothing", ``, errSyntax},
		{"white space", " \n", errSyntax},
		{"half an object", `{"a":`, errSyntax},
		{"two documents", `{} {}`, errSyntax},
		{"trailing data", `{}x`, errSyntax},
		{"a comment", `{} // x`, errSyntax},
		{"a trailing comma", `{"a":1,}`, errSyntax},
		{"single quotes", `{'a':1}`, errSyntax},
		{"NaN", `NaN`, errSyntax},
		{"a byte order mark", "\ufeff{}", errSyntax},
		{"a raw control character", "\"\x01\"", errSyntax},
		{"latin 1", "\"caf\xe9\"", errNotUTF8},
		{"an overlong encoding", "\"\xc0\x80\"", errNotUTF8},
		{"an encoded surrogate", "\"\xed\xa0\x80\"", errNotUTF8},
		{"a lone high surrogate", `"\ud800"`, errSurrogate},
		{"a lone low surrogate", `"\udc00"`, errSurrogate},
		{"a pair the wrong way round", `"\udc00\ud800"`, errSurrogate},
		{"two high surrogates", `"\ud800\ud800\udc00"`, errSurrogate},
		{"a high surrogate and another escape", `"\ud800\n"`, errSurrogate},
		{"a high surrogate and an escaped backslash", `"\ud800\\udc00"`, errSurrogate},
		{"a high surrogate in a name", `{"\uD800":1}`, errSurrogate},
		{"a duplicate name", `{"a":1,"a":2}`, errDuplicate},
		{"a duplicate name, escaped", `{"a":1,"\u0061":2}`, errDuplicate},
		{"a duplicate name, nested", `{"x":[{"a":1,"b":{},"a":2}]}`, errDuplicate},
		{"one level too deep", deep(maxJSONDepth + 1), errDepth},
		{"objects one level too deep", strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21), errDepth},
		{"thousands of levels", deep(20_000), errSyntax},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := checkJSON([]byte(c.body)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// FuzzStrictJSON compares the checker with encoding/json: it accepts nothing
// that encoding/json refuses, and refuses only four things that encoding/json
// accepts, each of which is detected here in another way.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"a":2}`, `"\ud800"`, `"\ud83d\ude00"`, `{"a":{"b":[1,2.5e3,null]}}`, "\"\xff\"", `[[[[]]]]`, `"\\u"`, `{"":{"":""}}`, `1`, `{"a\u0000":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkJSON(data)
		var decoded any
		valid := json.Valid(data)
		switch {
		case err == nil && !valid:
			t.Fatal("accepted what encoding/json refuses")
		case err == nil:
			if !utf8.Valid(data) {
				t.Fatal("accepted invalid UTF-8")
			}
			if json.Unmarshal(data, &decoded) == nil && fields(decoded) != strings.Count(skeleton(data), ":") {
				t.Fatal("accepted a duplicate field")
			}
			if strings.Count(fmt.Sprint(decoded), "\ufffd") > strings.Count(string(data), "\ufffd")+strings.Count(strings.ToLower(string(data)), `\ufffd`) {
				t.Fatal("accepted text that decodes to a replacement character")
			}
		case errors.Is(err, errSyntax) && valid:
			t.Fatal("refused the grammar of what encoding/json accepts")
		case errors.Is(err, errNotUTF8) && utf8.Valid(data):
			t.Fatal("refused valid UTF-8")
		case errors.Is(err, errSurrogate) && !strings.Contains(strings.ToLower(string(data)), `\ud`):
			t.Fatal("reported a surrogate that does not exist")
		case errors.Is(err, errDuplicate):
			if json.Unmarshal(data, &decoded) == nil && fields(decoded) == strings.Count(skeleton(data), ":") {
				t.Fatal("reported a duplicate field that does not exist")
			}
		case errors.Is(err, errDepth) && strings.Count(skeleton(data), "[")+strings.Count(skeleton(data), "{") <= maxJSONDepth:
			t.Fatal("reported more nesting than there is")
		}
	})
}

// fields counts the fields of all objects in a decoded document.
func fields(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		n = len(v)
		for _, child := range v {
			n += fields(child)
		}
	case []any:
		for _, child := range v {
			n += fields(child)
		}
	}
	return n
}

// skeleton is a valid JSON document without the content of its strings.
func skeleton(data []byte) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(data); i++ {
		switch {
		case inside && data[i] == '\\':
			i++
		case data[i] == '"':
			inside = !inside
		case !inside:
			b.WriteByte(data[i])
		}
	}
	return b.String()
}
