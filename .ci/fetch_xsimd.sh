#!/bin/sh
# Unpacks libxsimd-dev of Debian 13 into a folder, from the mirror that this machine already uses: fetch_xsimd.sh <folder>
set -eu
mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
cd "$1"

# The component `main` of a Debian archive, security updates aside.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' 2>/dev/null |
    grep -v -e security -m 1) || mirror=
if [ -z "$mirror" ]; then
    echo "error: no Debian mirror in the apt sources of this machine" >&2
    exit 1
fi
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >sources.list

apt() {
    apt-get -qq -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root "$@"
}
apt update
apt download libxsimd-dev
dpkg -x libxsimd-dev_*.deb .
rm -rf lists cache
