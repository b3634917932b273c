#!/usr/bin/env bash
# go vet and go test of the packages given, with the race detector where a C
# compiler is found. REQUIRE_POSTGRES=1 fails where PostgreSQL is missing.
set -euo pipefail

go=${GO:-go}
if ! "$(dirname "$0")/postgres.sh" && [[ ${REQUIRE_POSTGRES:-} == 1 ]]; then
	exit 1
fi

"$go" vet "$@"
if command -v "$("$go" env CC | cut -d' ' -f1)" >/dev/null; then
	export CGO_ENABLED=1
	exec "$go" test -race -timeout 20m "$@"
fi
echo '*** There is no C compiler: the tests run WITHOUT the race detector. ***'
exec "$go" test -timeout 20m "$@"
