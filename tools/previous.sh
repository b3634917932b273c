#!/usr/bin/env bash
# Builds the program of the release before this commit, for the tests that upgrade from
# it, and prints its path; before the first release it is the last commit without the
# OpenID provider (schema 13). Needs the history: git fetch --unshallow --tags.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=$(git describe --tags --match 'v*' --abbrev=0 HEAD^ 2>/dev/null || echo 4b4614b0)
program=$PWD/${BIN:-bin}/previous/pico-auth-$commit
if [[ ! -x $program ]]; then
	source=$(mktemp -d)
	trap 'rm -rf "$source"' EXIT
	git archive "$commit" | tar x -C "$source"
	mkdir -p "$(dirname "$program")"
	env -C "$source" CGO_ENABLED=0 GOFLAGS= "${GO:-go}" build -trimpath -buildvcs=false -o "$program" ./cmd/pico-auth
fi
echo "$program"
