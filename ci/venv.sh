# Sourced by scripts that print the path of a program of a Python package: the pinned version is the same by hand and in CI,
# and nothing outside of target/ changes.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Arguments: the name of the environment in target, a required file, packages. Installs them unless `installed` succeeds.
venv() {
    local name=$1 what=$2 venv=$root/target/$1
    shift 2
    ! installed || return 0
    mkdir -p "$root/target"
    exec 9> "$root/target/$name.lock"
    flock 9 # Two that start together install once.
    if ! installed; then
        python3 -m venv --clear "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
    fi
    installed || { echo "$(basename "$0"): $venv has no $what" >&2; exit 1; }
}
