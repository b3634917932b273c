#!/usr/bin/env bash
# Makes sure that the tests find PostgreSQL: the server in TEST_DATABASE_URL, else
# an installation, which the tests start themselves; and PgBouncer. As root on Debian
# it installs what is missing. Without it, it prints a message and fails.
set -euo pipefail

server() { [[ -n ${TEST_DATABASE_URL:-} ]] || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }
pooler() { PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null; }

missing=()
server || missing+=(postgresql)
pooler || missing+=(pgbouncer)
if [[ ${#missing[@]} == 0 ]]; then
	exit 0
fi
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]}; installing with apt-get"
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	if { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 && server && pooler; then
		rm -f "$log"
		exit 0
	fi
	tail -n 20 "$log"
	rm -f "$log"
fi
server || echo '*** PostgreSQL is missing and was not installed: SKIPPING every test on it. ***'
server || echo '*** Install it, or set TEST_DATABASE_URL to the URL of a server.            ***'
pooler || echo '*** PgBouncer is missing and was not installed: SKIPPING tests through it.  ***'
exit 1
