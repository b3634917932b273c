package keyring

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pico-auth/pico-auth/internal/jose"
	"github.com/pico-auth/pico-auth/internal/keyring/vault"
	"github.com/pico-auth/pico-auth/internal/seal"
)

// fmt does not ask unexported members how they want to be printed.
func TestNothingInsidePrintsAKey(t *testing.T) {
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	file := vault.Secret{Raw: []byte("kkkkkkkkkkkk"), Key: key}
	master, err := seal.Parse("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{rows: vault.Rows{Master: master}}
	signer := Signer{KID: "a", signer: jose.NewSigner(key, "a")}
	holder := Published{signers: map[jose.Algorithm]Signer{jose.EdDSA: signer}}
	ring := newRing(k)
	ring.held.Store(&holder)
	for _, v := range []any{file, &file, []vault.Secret{file}, k.rows, holder, ring, Signer{ring: ring, signer: signer.signer}, &Admin{k}, &session{keeper: *k}} {
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
