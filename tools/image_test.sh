#!/usr/bin/env bash
# Build the image and run it as a pod would: as its non-root user, with a read-only root file system, without network.
#
#   tools/image_test.sh            (as root; `make image-test`)
#   tools/image_test.sh tests      the quick tests on the Python of the image (`make image-python-test`)
#   BASE_IMAGE=...                 another base than the Dockerfile's
#   SUITES="bookworm trixie"       which Debians stand in for a base that cannot be pulled
#   PYTHON=python3                 whose pip fetches the packages, with whatever configuration it has
#
# Where the base image cannot be pulled, others are made with debootstrap and kept under .cache/image: one with Python
# 3.11, the oldest that is supported, and one with 3.13, which the Dockerfile names.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly store=$PWD/.cache/image
readonly image=localhost/mc-sidecar:image-test
readonly own_base=localhost/mc-sidecar-base
readonly source_url=https://git.example.com/mc-sidecar
readonly sol=So11111111111111111111111111111111111111112
readonly python=${PYTHON:-python3}

main() {
    prepare
    local base=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)}
    if builder pull --quiet "$base" >/dev/null 2>&1; then
        "$1" "$base"
        return
    fi
    echo "$base cannot be pulled here: using bases made by debootstrap"
    local suite
    for suite in $2; do
        builder inspect --type image "$own_base:$suite" >/dev/null 2>&1 || make_base "$suite"
        "$1" "$own_base:$suite"
    done
}

prepare() {
    if [[ $(id -u) != 0 ]]; then missing "the image test needs root, for chroot and debootstrap"; fi
    need buildah buildah
    need ip iproute2
    need unshare util-linux
    trap 'builder rm --all >/dev/null; builder rmi --prune >/dev/null' EXIT
}

# The quick tests need no program beside Python: the base with our packages is enough.
run_tests_on() {
    local version root
    version=$(python_of "$1")
    fetch_wheels "$version" dev
    root=$(builder mount "$(builder from "$1")")
    mkdir -p "$root/project" "$root/wheels"
    cp "$store/requirements.txt" "$root/requirements.txt"
    git archive HEAD | tar -x -C "$root/project"
    unshare --mount --pid --fork --kill-child bash "$0" inside_tests "$root"
    echo "the quick tests pass on Python $version"
    builder rm --all >/dev/null
}

inside_tests() {
    mount --make-rprivate /
    mount --rbind /dev "$1/dev"
    mount -t proc proc "$1/proc"
    mount --bind "$store/wheels" "$1/wheels"
    chroot "$1" env -i PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/root sh -ec '
        python3 -m venv /venv
        pip install -qq --no-index --find-links /wheels -r /requirements.txt
        cd /project
        python -m pytest -q -p no:cacheprovider -n "$(nproc)" --quick'
}

test_on() {
    build "$1"
    check_contents
    local root
    root=$(builder mount "$(builder from "$image")")
    unshare --mount --net --pid --fork --kill-child bash "$0" inside "$root"
    report_size "$1"
    builder rm --all >/dev/null
}

missing() {
    echo "$1" >&2
    if [[ ${CI:-} == true ]]; then exit 1; fi
    echo "skipped" >&2
    exit 0
}

need() {
    command -v "$1" >/dev/null || missing "$1 is not installed: get it with the package $2"
}

builder() {
    buildah --storage-driver vfs --root "$store/images" --runroot "$store/run" "$@"
}

make_base() {
    need debootstrap debootstrap
    rm -rf "$store/base"
    mkdir -p "$store"
    debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates "$1" "$store/base" \
        >"$store/debootstrap.log"
    rm -rf "$store"/base/var/cache/apt/* "$store"/base/var/lib/apt/lists/*
    local container
    container=$(builder from scratch)
    builder add --quiet "$container" "$store/base" / >/dev/null
    builder commit --quiet --rm "$container" "$own_base:$1" >/dev/null
    rm -rf "$store/base"
}

python_of() {
    local container
    container=$(builder from "$1")
    builder run --isolation chroot "$container" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'
    builder rm "$container" >/dev/null
}

# The build's own pip needs no network: the wheels come from the host's, for this version of Python; of more extras,
# if any are named.
fetch_wheels() {
    local platform=()
    for glibc in manylinux1 manylinux2014 manylinux_2_17 manylinux_2_28; do platform+=(--platform "${glibc}_$(uname -m)"); done
    "$python" - "${@:2}" >"$store/requirements.txt" <<-'END'
		import re, sys, tomllib
		project = tomllib.load(open("pyproject.toml", "rb"))
		wanted, build = project["project"], project["build-system"]
		print(*wanted["dependencies"], *build["requires"], sep="\n")
		for extra in [*re.search(r"'\.\[(.*)\]'", open("Dockerfile").read())[1].split(","), *sys.argv[1:]]:
		    print(*wanted["optional-dependencies"][extra], sep="\n")
		print("async-timeout")  # redis wants it before Python 3.11.3; pip judges that by the Python it runs on
	END
    mkdir -p "$store/wheels"
    "$python" -m pip download -qq --only-binary=:all: --implementation cp --python-version "$1" \
        "${platform[@]}" --dest "$store/wheels" --constraint constraints.txt --requirement "$store/requirements.txt"
}

build() {
    local version
    version=$(python_of "$1")
    fetch_wheels "$version"
    builder build --isolation chroot --build-arg BASE_IMAGE="$1" --tag "$image" \
        --build-arg REVISION="$(git rev-parse HEAD)" --build-arg SOURCE="$source_url" \
        --volume "$store/wheels:/wheels:ro" --build-arg PIP_FIND_LINKS=/wheels --build-arg PIP_NO_INDEX=1 . \
        >"$store/build.log" 2>&1 || fail "it does not build: $(tail -20 "$store/build.log")"
    echo "built on $1, with Python $version"
}

config_of_image() {
    builder inspect --type image --format "{{$1}}" "$image"
}

label() {
    builder inspect --type image --format "{{index .OCIv1.Config.Labels \"org.opencontainers.image.$1\"}}" "$image"
}

check_contents() {
    [[ $(config_of_image .OCIv1.Config.User) == 65532:65532 ]] || fail "the user is not numeric and non-root"
    local version
    version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' sidecar/runtime/version.py)
    [[ $(label version) == "$version" ]] || fail "another version"
    [[ $(label revision) == $(git rev-parse HEAD) ]] || fail "another revision"
    [[ $(label source) == "$source_url" ]] || fail "another source"
    [[ $(config_of_image .OCIv1.Config.Entrypoint) == "[mc-sidecar]" ]] || fail "another entry point"
    local root
    root=$(builder mount "$(builder from "$image")")
    for path in src opt/mc-sidecar/bin/pip opt/mc-sidecar/bytecode/src; do
        [[ ! -e $root/$path ]] || fail "$path is in the image"
    done
    [[ -e $root/etc/mc-sidecar/sidecar.yaml ]] || fail "no default settings"
    config_of_image 'range .OCIv1.Config.Env}}{{.}}{{"\n"}}{{end' >"$store/environment"
    echo "contents as expected"
}

report_size() {
    local whole base
    whole=$(builder images --json "$image" | sed -n 's/.*"size": "\(.*\)".*/\1/p')
    base=$(builder images --json "$1" | sed -n 's/.*"size": "\(.*\)".*/\1/p')
    echo "size: $whole, of which the base is $base"
}

fail() {
    echo "image test failed: $1" >&2
    exit 1
}

# From here on within mount, network and process namespaces of its own, $1 being the image's root.
inside() {
    root=$1
    ip link set lo up
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=0777 emptydir "$root/var/lib/mc-sidecar"
    mount -o remount,bind,ro "$root"
    ! touch "$root/written" 2>/dev/null || fail "the root file system is not read-only"
    mapfile -t environment <"$store/environment"
    as_user=(setpriv --no-new-privs chroot --userspec=65532:65532 --groups=65532 "$root" env -i "${environment[@]}")
    "${as_user[@]}" mc-sidecar check-config >/dev/null || fail "the settings of the image are refused"
    run_and_stop demo --snapshot-path=/var/lib/mc-sidecar/snapshot
    [[ -s $root/var/lib/mc-sidecar/snapshot ]] || fail "no snapshot was written"
    ask "http://127.0.0.1:8765/mc/$sol" 2>/dev/null && fail "it still answers after SIGTERM"
    # Without network, what it serves can only come from the snapshot.
    run_and_stop serve --snapshot-path=/var/lib/mc-sidecar/snapshot
}

ask() {
    "${as_user[@]}" python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())' "$1"
}

# Start a command of the sidecar, ask it as the kubelet and the application would, and stop it.
run_and_stop() {
    "${as_user[@]}" mc-sidecar "$@" >"$store/$1.log" 2>&1 &
    local pid=$!
    "${as_user[@]}" mc-sidecar wait --timeout 30 || fail "$1 does not start: $(tail -3 "$store/$1.log")"
    "${as_user[@]}" mc-sidecar healthcheck || fail "$1 is not healthy"
    ask http://127.0.0.1:9765/livez >/dev/null || fail "$1 is not live"
    grep -q "^Uid:.65532.65532.65532.65532$" "$root/proc/$pid/status" || fail "$1 runs as another user"
    ask "http://127.0.0.1:8765/mc/$sol" | grep -q market_cap_usd || fail "$1 has no market cap"
    kill -TERM "$pid"
    wait "$pid" || fail "$1 did not stop cleanly: $(tail -3 "$store/$1.log")"
    echo "$1 ran as 65532 on a read-only root and stopped cleanly"
}

case ${1:-} in
    inside | inside_tests) "$@" ;;
    tests) main run_tests_on "${SUITES:-trixie}" ;;
    *) main test_on "${SUITES:-bookworm trixie}" ;;
esac
