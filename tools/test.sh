#!/usr/bin/env bash
# go vet and go test of the packages given, with the race detector where a C
# compiler is found: internal/testrun. -full runs the full set.
# REQUIRE_POSTGRES=1 fails where PostgreSQL is missing.
set -euo pipefail

go=${GO:-go}
runner=${BIN:-bin}/testrun
"$(dirname "$0")/postgres.sh" || [[ ${REQUIRE_POSTGRES:-} != 1 ]]
CGO_ENABLED=0 "$go" build -o "$runner" ./internal/testrun
GO=$go exec "$runner" "$@"
