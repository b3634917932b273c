#!/usr/bin/env bash
# Builds the container image of DIST/image/context, with buildah or docker.
#
# buildah: the image is in its store, where podman finds it, in an engine of Docker if there
# is one, and in two archives: DIST/image/pico-auth-docker.tar (docker load, podman load)
# and pico-auth-oci.tar (an OCI layout, for skopeo copy and registries). The same commit
# gives the same OCI archive.
#
# docker: the image is in the engine, in its own format; docker save writes it.
#
# Called by `make image`, which sets the variables.
set -euo pipefail

out=$DIST/image
tag=${VERSION//+/-}
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
labels=(
	--label org.opencontainers.image.title=pico-auth
	--label "org.opencontainers.image.version=$VERSION"
	--label "org.opencontainers.image.revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
	--label org.opencontainers.image.licenses=MIT
)

rm -rf "$out/oci" "$out"/*.tar
"$GO" run ./internal/roots >"$out/context/ca-certificates.crt"
cp -r contrib/container/data LICENSE "$out/context/"

if command -v buildah >/dev/null; then
	buildah bud --quiet --format docker --os linux --arch "$ARCH" --timestamp "$epoch" --build-arg "TARGETARCH=$ARCH" --identity-label=false \
		"${labels[@]}" -f Containerfile -t "pico-auth:$tag" -t pico-auth:latest "$out/context" >/dev/null
	buildah push --quiet "pico-auth:$tag" "docker-archive:$out/pico-auth-docker.tar:pico-auth:$tag"
	buildah push --quiet --format oci "pico-auth:$tag" "oci:$out/oci:pico-auth:$tag"
elif command -v docker >/dev/null; then
	docker build --platform "linux/$ARCH" --build-arg "TARGETARCH=$ARCH" "${labels[@]}" -f Containerfile -t "pico-auth:$tag" -t pico-auth:latest "$out/context"
	exit
else
	echo 'make image needs buildah or docker' >&2
	exit 1
fi

# The OCI format has no field for a health check. Docker defines one for it, in the same
# place as in its own format (github.com/moby/docker-image-spec), which buildah drops.
blobs=$out/oci/blobs/sha256
# put OLD: stores standard input in the place of the blob OLD, and prints its descriptor's new fields.
put() {
	local digest
	cat >"$out/blob"
	rm "$blobs/$1"
	digest=$(sha256sum "$out/blob" | cut -d ' ' -f 1)
	jq -n --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$out/blob")" '{$digest, $size}'
	mv "$out/blob" "$blobs/$digest"
}
manifest=$(jq -r '.manifests[0].digest' "$out/oci/index.json" | cut -d : -f 2)
config=$(jq -r .config.digest "$blobs/$manifest" | cut -d : -f 2)
health=$(buildah inspect --type image "pico-auth:$tag" | jq .Docker.config.Healthcheck)
new=$(jq -cj --argjson health "$health" '.config.Healthcheck = $health' "$blobs/$config" | put "$config")
new=$(jq -cj --argjson new "$new" '.config += $new' "$blobs/$manifest" | put "$manifest")
jq -cj --argjson new "$new" '.manifests[0] += $new' "$out/oci/index.json" >"$out/blob"
mv "$out/blob" "$out/oci/index.json"
tar -C "$out/oci" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -cf "$out/pico-auth-oci.tar" .
rm -r "$out/oci"

# An engine of Docker beside buildah has a store of its own.
if docker info >/dev/null 2>&1; then
	docker load --quiet --input "$out/pico-auth-docker.tar"
	docker tag "pico-auth:$tag" pico-auth:latest
fi
ls "$out"/*.tar
