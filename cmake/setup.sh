# Shell functions shared by examples/run.sh, tests/run.sh and .ci/run. POSIX sh; meant to be sourced.

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

have_program() { command -v "$1" >/dev/null 2>&1; }
have_header() {
    for folder in /usr/include /usr/local/include; do
        if [ -e "$folder/$1" ]; then return 0; fi
    done
    return 1
}
# The first number is the major version, the second the minor one.
have_cmake() {
    have_program cmake || return 1
    version=$(cmake --version | sed -n 's/^cmake version //p')
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    [ "$major" -gt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -ge 24 ]; }
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have_program sudo; then
        sudo "$@"
    else
        fail "installing packages needs root or sudo; as root run: $*"
    fi
}

# install_missing <check>:<what>:<package>... installs the packages whose check (program or header) fails.
install_missing() {
    missing=
    for line in "$@"; do
        check=${line%%:*}
        rest=${line#*:}
        "have_$check" "${rest%%:*}" || missing="$missing ${rest#*:}"
    done
    if [ -z "$missing" ]; then
        echo "everything that is needed is installed"
        return 0
    fi
    have_program apt-get || fail "please install with your package manager what Debian calls:$missing"
    echo "installing:$missing"
    as_root apt-get -qq update || fail "apt-get update failed; no network? missing packages:$missing"
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing ||
        fail "apt-get could not install:$missing"
}

# CMake from the system, or a newer one from PyPI in the given folder when the system's is older than 3.24.
find_cmake() {
    if have_cmake; then return 0; fi
    say "CMake 3.24 or newer is needed, this system has $(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')"
    echo "taking a newer one into $1 (python3 venv and pip; nothing outside that folder changes)"
    install_missing program:python3:python3
    if ! python3 -m venv "$1" 2>/dev/null; then
        as_root apt-get -qq update && as_root apt-get -qq install -y --no-install-recommends python3-venv ||
            fail "python3 -m venv does not work here; install CMake 3.24 or newer by hand"
        python3 -m venv "$1"
    fi
    "$1/bin/pip" --quiet install 'cmake>=3.24,<4' || fail "pip could not fetch CMake; install CMake 3.24 or newer by hand"
    PATH="$1/bin:$PATH"
    have_cmake || fail "the CMake in $1 does not work"
}

core_count() { nproc 2>/dev/null || echo 2; }
