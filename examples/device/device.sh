#!/usr/bin/env bash
# Signs a user in on a device without a browser (RFC 8628). Needs curl and jq.
#
#   pico-auth client create --kind native --grant-type urn:ietf:params:oauth:grant-type:device_code
#   CLIENT_ID=... ./device.sh
set -euo pipefail
issuer=${ISSUER:-http://localhost:8100}
found=$(curl -sSf "$issuer/.well-known/openid-configuration")
endpoint() { jq -er ".$1" <<<"$found"; }

started=$(curl -sS "$(endpoint device_authorization_endpoint)" -d "client_id=$CLIENT_ID" -d 'scope=openid email' |
	jq -e 'if .error then error(.error + ": " + .error_description) else . end')
printf 'Open %s and enter the code %s\n' "$(jq -r .verification_uri <<<"$started")" "$(jq -r .user_code <<<"$started")"
interval=$(jq -r '.interval // 5' <<<"$started")

while :; do
	sleep "$interval"
	answer=$(curl -sS "$(endpoint token_endpoint)" -d "client_id=$CLIENT_ID" \
		-d grant_type=urn:ietf:params:oauth:grant-type:device_code \
		-d "device_code=$(jq -r .device_code <<<"$started")")
	case $(jq -r '.error // empty' <<<"$answer") in
	'') break ;;
	authorization_pending) ;;
	slow_down) interval=$((interval + 5)) ;;
	*)
		jq -r '.error + ": " + (.error_description // "")' <<<"$answer" >&2
		exit 1
		;;
	esac
done
curl -sSf "$(endpoint userinfo_endpoint)" -H "Authorization: Bearer $(jq -r .access_token <<<"$answer")" | jq -r '"Hello " + .email'
