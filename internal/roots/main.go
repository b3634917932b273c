// Command roots prints, as PEM, the certificates of the authorities that browsers trust:
// those of Mozilla, at the version of the module in go.mod.
//
// An image of the server needs the file, since it has no operating system to take it
// from; `make image` calls this command. The server does not contain the certificates.
package main

import (
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // trusted for certificates up to a date only, which PEM cannot express
		}
		if err := pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			fmt.Fprintln(os.Stderr, "roots:", err)
			os.Exit(1)
		}
	}
}
