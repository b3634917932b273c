#!/usr/bin/env bash
# Builds the release of this commit again, from a clone in another folder, and
# compares its checksums with those in DIST.
set -euo pipefail

again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT
git clone -q . "$again/pico-auth"
make -C "$again/pico-auth" release DIST=dist VERSION="$VERSION" >/dev/null
diff "${DIST:-dist}/SHA256SUMS" "$again/pico-auth/dist/SHA256SUMS"
echo 'the two builds of this commit are identical'
