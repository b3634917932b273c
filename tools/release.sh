#!/usr/bin/env bash
# Builds the files of a release into DIST: a static binary, an archive with it and a
# CycloneDX bill of materials for each of PLATFORMS, the notices of the software that
# they contain, and the SHA-256 of all of them. The same commit, version and Go release
# give the same bytes on any machine.
# Called by `make release`, which sets the variables.
set -euo pipefail

rm -rf "$DIST"
mkdir -p "$DIST"
for platform in $PLATFORMS; do
	os=${platform%/*} arch=${platform#*/}
	out=$DIST/pico-auth-$os-$arch
	[[ $os == windows ]] && out+=.exe
	GOOS=$os GOARCH=$arch GOFLAGS='' "$GO" build -trimpath -buildvcs=false -ldflags "$LDFLAGS" -o "$out" ./cmd/pico-auth
	# Without the checksums of the tool itself, which differ between machines.
	"$GO" tool -modfile=tools/go.mod cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" "$out" |
		sed '/^        "hashes": \[$/,/^        \],$/d' >"${out%.exe}.cdx.json"
	echo "$out"
done
"$GO" run ./internal/release -dist "$DIST" -version "$VERSION" -platforms "$PLATFORMS" -time "$(git log -1 --format=%ct 2>/dev/null || echo 0)"
cd "$DIST"
sha256sum -- * >SHA256SUMS
