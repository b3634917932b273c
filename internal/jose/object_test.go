package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseObjectDecodesAsEncodingJSONDoes(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, "\t{\r\n\"a\" : 1 , \"b\":[ ] }\n",
		`{"s":"","t":"x\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00z","u":"é€😀"}`,
		`{"\u0061":1,"":2}`,
		`{"n":[0,-0,1,-12,1.5,0.25e10,1E+2,1e-2,9007199254740993,1e999]}`,
		`{"b":[true,false,null,{"c":{"d":[[[]]]}}]}`,
		`{"\ufffd":"\ufffd"}`,
	} {
		got, err := ParseObject([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(plainDecode(t, []byte(text)), got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseObjectRefusesWhatHasTwoReadings(t *testing.T) {
	for _, text := range []string{
		``, ` `, `null`, `1`, `"a"`, `[]`, `[{}]`, `{`, `}`, `{}}`, `{} x`, `{}{}`, "{}\x00", "\ufeff{}",
		`{"a"}`, `{"a":}`, `{"a" 1}`, `{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{"a":1,,"b":2}`,
		`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[1}`, `{"a":[`, `{"a":[1`,
		`{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":5.}`, `{"a":-}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":-01}`, `{"a":1_0}`,
		`{"a":tru}`, `{"a":True}`, `{"a":nul}`, `{"a":undefined}`, `{"a":t`,
		`{"a":"`, `{"a":"\`, `{"a":"\x41"}`, `{"a":"\u00"}`, `{"a":"\u00g0"}`, `{"a":"\u+041"}`, `{"a":"\u`, `{"a":"\U0041"}`, `{"a":"\'"}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\\n\n\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\x7f\\\x00\"}", "{\"a\":\"\xff\"}", "{\"\xc0\xaf\":1}", "{\"a\":\"\xed\xa0\x80\"}",
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud800x"}`, `{"a":"\ud800\n"}`, `{"a":"\ud800\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud800\u00"}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"b":2}]}`, `{"":1,"":1}`,
		"{\"a\":1 /* x */}", "{\"a\":1} // x", "{\"a\":\v1}", "{\"a\":\u00a01}",
	} {
		object, err := ParseObject([]byte(text))
		if !errors.Is(err, ErrMalformed) || object != nil {
			t.Errorf("%q: %v, %v, want nil and ErrMalformed", text, object, err)
		}
	}
}

func TestParseObjectBoundsDepth(t *testing.T) {
	nest := func(levels int) string {
		return `{"a":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
	}
	if _, err := ParseObject([]byte(nest(maxDepth))); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	for _, levels := range []int{maxDepth + 1, 100_000} {
		if _, err := ParseObject([]byte(nest(levels))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d levels: %v", levels, err)
		}
		objects := strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
		if _, err := ParseObject([]byte(objects)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d objects: %v", levels, err)
		}
	}
}

func TestParseObjectKeepsNoReferenceToItsInput(t *testing.T) {
	data := []byte(`{"name":"value"}`)
	object, err := ParseObject(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if object["name"] != "value" {
		t.Errorf("changed with the input: %v", object)
	}
}

// FuzzParseObject holds ParseObject against encoding/json: what passes is valid
// and means the same, and what encoding/json reads without loss passes.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"b":[true,null,"x\u0041\ud83d\ude00"],"c":{"d":-1.5e3}}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, ` {"a" : [ ] } `, `{"a":[[[]]]}`, `{"é":"\/\b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseObject(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%q: %v", data, err)
			}
			if readsWithoutLoss(data) {
				t.Fatalf("%q is refused: %v", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is accepted and no JSON", data)
		}
		if diff := cmp.Diff(plainDecode(t, data), got); diff != "" {
			t.Fatalf("%q: %s", data, diff)
		}
	})
}

func plainDecode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return object
}

// readsWithoutLoss reports whether data is an object that encoding/json writes
// back with as many members and elements, and that nests and escapes little.
func readsWithoutLoss(data []byte) bool {
	if !utf8.Valid(data) || !json.Valid(data) || bytes.Contains(data, []byte(`\u`)) || bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) >= maxDepth {
		return false
	}
	var object map[string]any
	if json.Unmarshal(data, &object) != nil || object == nil {
		return false
	}
	again, err := json.Marshal(object)
	return err == nil && bytes.Count(again, []byte(":")) == bytes.Count(data, []byte(":"))
}

func BenchmarkParseObject(b *testing.B) {
	payload := []byte(`{"aud":"pico-bot","email":"user@example.com","exp":1795350060,"groups":["g1","g2"],"iat":1795349160,` +
		`"iss":"http://localhost:8100","jti":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","org_id":"default","role":"viewer","sid":"s","sub":"user-1"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseObject(payload); err != nil {
			b.Fatal(err)
		}
	}
}
