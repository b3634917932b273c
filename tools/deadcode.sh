#!/usr/bin/env bash
# Fails on functions that neither the program nor a test can reach.
set -euo pipefail

dead=$("${GO:-go}" tool -modfile=tools/go.mod deadcode -test ./...)
if [[ -n $dead ]]; then
	echo "$dead"
	exit 1
fi
