#!/usr/bin/env bash
# Walks through a built server from outside, with curl: a fresh home and folder,
# no configuration, the first admin, a user, a group in the next token, the
# pages, a sign-in at a client with an authorization code, the stop. With a second argument it goes through nginx and the example
# in contrib/ as well.
#
#   tools/walk.sh bin/pico-auth [nginx]
set -euo pipefail

binary=$(realpath "$1")
nginx=${2:-}
contrib=$(realpath "$(dirname "$0")/../contrib")
place=$(mktemp -d)
port=${SERVER_PORT:-8100}
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$place"' EXIT

fail() {
	echo "walk: $*" >&2
	tail -n 20 "$place/log" >&2
	exit 1
}

# call METHOD PATH STATUS [JSON]: stores the response in $body.
call() {
	local status
	status=$(curl -sS -k -o "$place/body" -w '%{http_code}' -X "$1" "$base$2" \
		${token:+-H "Authorization: Bearer $token"} ${4:+-H 'Content-Type: application/json' -d "$4"})
	body=$(cat "$place/body")
	[[ $status == "$3" ]] || fail "$1 $2: status $status, want $3: $body"
	echo "$status $1 $2"
}

# field NAME: the value of a string field of $body.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$body"; }

# claims: the payload of $token.
claims() {
	local payload
	payload=$(cut -d. -f2 <<<"$token" | tr '_-' '/+')
	while ((${#payload} % 4)); do payload+='='; done
	base64 -d <<<"$payload"
}

ready() {
	for _ in $(seq 100); do
		curl -sfk -o /dev/null "$1" && return
		sleep 0.1
	done
	fail "$1 does not respond"
}

users() {
	local alice=$1@example.com admin user group refresh
	token=''
	call POST /api/v1/auth/register 200 "{\"email\":\"$alice\",\"password\":\"secret123\",\"display_name\":\"Alice\"}"
	user=$(field id)
	call POST /api/v1/auth/login 401 "{\"email\":\"$alice\",\"password\":\"wrong\"}"
	call POST /api/v1/auth/login 200 '{"email":"admin@pico.local","password":"admin"}'
	admin=$(field access_token)
	call POST /api/v1/auth/login 200 "{\"email\":\"$alice\",\"password\":\"secret123\"}"
	refresh=$(field refresh_token)
	token=$admin
	call POST /api/v1/groups 200 "{\"name\":\"team $1\"}"
	group=$(field id)
	call POST "/api/v1/groups/$group/members" 200 "\"$user\""
	token=''
	call POST /api/v1/auth/refresh 200 "\"$refresh\""
	token=$(field access_token)
	[[ $(claims) == *"\"groups\":[\"$group\"]"* ]] || fail "the group is not in the token: $(claims)"
	call GET /api/v1/auth/me 200
	call GET /api/v1/auth/users 403
	call POST /api/v1/auth/logout 200
	call GET /api/v1/auth/me 401
	token=''
	call POST /api/v1/auth/refresh 401 "\"$refresh\""
}

pages() {
	token=''
	for path in / /docs /openapi.json /api/v1/auth/jwks /.well-known/jwks.json /.well-known/openid-configuration /livez /readyz; do
		call GET "$path" 200
	done
	call GET /api/v1/nothing 404
}

# form PATH STATUS FIELD...: posts a form as the browser of $jar, and stores the response
# in $body and where it leads in $location.
form() {
	local path=$1 want=$2 status field fields=()
	shift 2
	for field in "$@"; do fields+=(--data-urlencode "$field"); done
	status=$(curl -sS -k -b "$jar" -c "$jar" -o "$place/body" -w '%{http_code} %{redirect_url}' -H 'Accept: text/html' \
		-H "Origin: $base" "${fields[@]}" "$base$path")
	body=$(cat "$place/body")
	location=${status#* }
	[[ ${status%% *} == "$want" ]] || fail "POST $path: status ${status%% *}, want $want: $body"
	echo "$want POST $path"
}

# visit ADDRESS STATUS: the same by GET.
visit() {
	local status
	status=$(curl -sS -k -b "$jar" -c "$jar" -o "$place/body" -w '%{http_code} %{redirect_url}' -H 'Accept: text/html' "$1")
	body=$(cat "$place/body")
	location=${status#* }
	[[ ${status%% *} == "$2" ]] || fail "GET $1: status ${status%% *}, want $2: $body"
	echo "$2 GET ${1%%\?*}"
}

# client_signs_in EMAIL: an application signs the user in with an authorization code.
client_signs_in() {
	local created id secret verifier challenge request code callback=http://localhost:3000/callback
	jar=$place/cookies
	created=$(env -i HOME="$place/home" SERVER_PORT="$port" "$binary" client create --kind web --redirect-uri "$callback" --json)
	id=$(sed -n 's/.*"client_id": *"\([^"]*\)".*/\1/p' <<<"$created" | head -n 1)
	secret=$(sed -n 's/.*"client_secret": *"\([^"]*\)".*/\1/p' <<<"$created" | head -n 1)
	verifier=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)
	challenge=$(printf %s "$verifier" | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d =)
	visit "$base/oauth2/authorize?response_type=code&client_id=$id&redirect_uri=$callback&scope=openid%20email&state=s&code_challenge=$challenge&code_challenge_method=S256" 303
	request=${location##*request=}
	visit "$location" 200
	form /sign-in 303 "request=$request" "email=$1" password=secret123 action=sign-in
	visit "$location" 303
	visit "$location" 200
	form /consent 303 "request=$request" action=allow
	visit "$location" 303
	[[ $location == "$callback?"*code=* ]] || fail "the browser goes to $location"
	code=$(sed 's/.*[?&]code=\([^&]*\).*/\1/' <<<"$location")
	body=$(curl -sS -k -u "$id:$secret" -d grant_type=authorization_code -d "code=$code" -d "redirect_uri=$callback" -d "code_verifier=$verifier" "$base/oauth2/token")
	token=$(field access_token)
	[[ -n $token && -n $(field id_token) ]] || fail "POST /oauth2/token: $body"
	echo '200 POST /oauth2/token'
	call GET /oauth2/userinfo 200
	[[ $body == *"\"email\":\"$1\""* ]] || fail "userinfo is $body"
	token=''
}

mkdir "$place/home" "$place/work"
cd "$place/work"
env -i PATH="$PATH" HOME="$place/home" SERVER_PORT="$port" "$binary" >"$place/log" 2>&1 &
server=$!
pids+=("$server")
base=http://localhost:$port
ready "$base/readyz"
users alice
pages
client_signs_in alice@example.com
call GET /metrics 200
[[ $(stat -c %a auth.db "$place/home/.pico-auth/private.pem" "$place/home/.pico-auth" | tr '\n' ' ') == '600 600 700 ' ]] || fail 'the files have other modes than 600 and 700'
token=$(curl -sS -H 'Content-Type: application/json' -d '{"email":"alice@example.com","password":"secret123"}' "$base/api/v1/auth/login" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
env -i HOME="$place/home" SERVER_PORT="$port" "$binary" token inspect - <<<"$token" >/dev/null || fail 'token inspect refuses a valid token'
env -i HOME="$place/home" SERVER_PORT="$port" "$binary" health
if env -i HOME="$place/home" SERVER_PORT="$((port + 1))" SERVER_HOST=0.0.0.0 "$binary" >"$place/refused" 2>&1; then
	fail 'the server listens on all interfaces with the default password'
fi
grep -q auth.admin_password "$place/refused" || fail 'the error does not name auth.admin_password'

if [[ -n $nginx ]]; then
	openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=auth.example.com -keyout "$place/key" -out "$place/cert" 2>/dev/null
	sed -e "s#127.0.0.1:8100#127.0.0.1:$port#; /listen \[::\]/d; s#listen 443#listen 127.0.0.1:$((port + 2))#" \
		-e "s#/etc/ssl/certs/.*pem#$place/cert#; s#/etc/ssl/private/.*key#$place/key#" "$contrib/nginx/pico-auth.conf" >"$place/site"
	# The service behind auth_request is pico-auth itself: /livez responds to everyone.
	sed -e "s#127.0.0.1:8100#127.0.0.1:$port#; s#127.0.0.1:9000#127.0.0.1:$port#; s#listen 8080#listen 127.0.0.1:$((port + 3))#" \
		"$contrib/nginx/auth-request.conf" >"$place/service"
	echo "daemon off; pid $place/pid; error_log $place/log; events {} http { access_log off; include $place/site; include $place/service; }" >"$place/nginx.conf"
	"$nginx" -e "$place/log" -c "$place/nginx.conf" &
	pids+=("$!")
	base=https://localhost:$((port + 2))
	ready "$base/readyz"
	users bob
	pages
	call GET /metrics 404
	token=$(head -c 20000 /dev/zero | tr '\0' 'a')
	call GET /api/v1/auth/me 401
	token=''
	call POST /api/v1/auth/login 413 "\"$(head -c 70000 /dev/zero | tr '\0' 'a')\""

	call POST /api/v1/auth/login 200 '{"email":"alice@example.com","password":"secret123"}'
	token=$(field access_token)
	base=http://localhost:$((port + 3))
	call GET /livez 200
	token='two tokens'
	call GET /livez 400
	token=bad
	call GET /livez 401
	token=''
	call GET /livez 401
fi

kill -TERM "$server"
wait "$server" || fail "exit code $? after SIGTERM"
echo 'walk: ok'
