#!/usr/bin/env bash
# Runs Apache with mod_auth_openidc in front of the folder site, as an ordinary user.
# Needs the packages apache2 and libapache2-mod-auth-openidc.
#
#   pico-auth client create --kind web --redirect-uri http://localhost:3000/callback
#   CLIENT_ID=... CLIENT_SECRET=... ./run.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export ISSUER=${ISSUER:-http://localhost:8100} PORT=${PORT:-3000} SITE=$here/site
export SESSION_SECRET=${SESSION_SECRET:-$(head -c 32 /dev/urandom | base64)}
: "${CLIENT_ID:?}" "${CLIENT_SECRET:?}"
export CLIENT_ID CLIENT_SECRET

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
modules=${APACHE_MODULES:-/usr/lib/apache2/modules}
{
	for module in mpm_event authn_core authz_core authz_user mime dir include auth_openidc; do
		echo "LoadModule ${module}_module $modules/mod_$module.so"
	done
	echo "PidFile $folder/pid"
	echo "ErrorLog /dev/stderr"
	echo "TypesConfig /dev/null"
	echo "AddType text/html .html"
	echo "DirectoryIndex index.html"
	# As root Apache gives its workers to another user, which must read the site.
	echo 'User www-data'
	echo 'Group www-data'
	echo "Include $here/site.conf"
} >"$folder/httpd.conf"
echo "open http://localhost:$PORT"
apache2 -d "$folder" -f "$folder/httpd.conf" -D FOREGROUND
