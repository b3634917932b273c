#!/usr/bin/env bash
# Makes sure that the tests find PostgreSQL: a server named by
# TEST_DATABASE_URL, else the programs of an installation, which the tests
# start themselves. Missing programs are installed on Debian when root asks.
# Fails, after saying so, when there will be none.
set -euo pipefail

found() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

if [[ -n ${TEST_DATABASE_URL:-} ]] || found; then
	exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	echo 'PostgreSQL is missing: installing it with apt-get'
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	if { apt-get update && apt-get install -y --no-install-recommends postgresql; } >"$log" 2>&1 && found; then
		rm -f "$log"
		exit 0
	fi
	tail -n 20 "$log"
	rm -f "$log"
fi
echo '*** PostgreSQL is missing and was not installed: SKIPPING every test on it. ***'
echo '*** Install it, or name a server in TEST_DATABASE_URL.                      ***'
exit 1
