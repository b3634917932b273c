package keyring

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
)

// fmt does not ask unexported members how they want to be printed.
func TestNothingInsidePrintsAKey(t *testing.T) {
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	file := secretFile{name: "n", raw: []byte("kkkkkkkkkkkk"), key: key}
	o := &opener{}
	holder := held{kid: "a", signer: jose.NewSigner(key, "a")}
	ring := &Ring{opener: o}
	ring.held.Store(&holder)
	for _, v := range []any{file, &file, []secretFile{file}, holder, ring, &Desk{o}, Exported{Bytes: file.raw}} {
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		text, _ := json.Marshal(v)
		all := fmt.Sprintf("%v %+v %#v %s %x %d", v, v, v, v, v, v) + log.String() + string(text)
		for _, piece := range []string{"kkk", "6b6b6b", "107 107", "107, 107", "0x6b, 0x6b", "a2tra2tr"} {
			if strings.Contains(all, piece) {
				t.Errorf("%T prints %q", v, piece)
			}
		}
	}
}
