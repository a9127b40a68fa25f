#!/usr/bin/env bash
# The checks before a version is published, and the commands that publish it, which a person runs.
#
#   ci/release.sh VERSION              every check, of both tiers
#   ci/release.sh VERSION --checked    without them: they passed on this commit
set -euo pipefail
cd "$(dirname "$0")/.."

refuse() {
    echo "release.sh: $1" >&2
    exit 1
}

version=${1:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$ ]] || refuse "a version is wanted, such as 0.1.0"
[ -z "${2:-}" ] || [ "$2" = --checked ] || refuse "'$2' is no option"

[ -z "$(git status --porcelain)" ] || refuse "there are changes that are not committed"
stated=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$stated" = "$version" ] || refuse "Cargo.toml says $stated"
# Our packages name each other by version.
while read -r line; do
    [[ $line == *"version = \"$version\""* ]] || refuse "Cargo.toml: $line"
done < <(grep -E '^runtime-(dump|probe)[a-z-]* = \{ path' Cargo.toml)
grep -Eq "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
    refuse "CHANGELOG.md has no line '## [$version] - YYYY-MM-DD'"
git rev-parse --verify --quiet "refs/tags/v$version" > /dev/null && refuse "there is a tag v$version already"

[ "${2:-}" = --checked ] || bash ci/test.sh --all
bash ci/test.sh package

echo "release.sh: $version can be published. In this order, each when the one before it can be downloaded:"
for package in runtime-dump runtime-probe-http runtime-probe runtime-probe-axum runtime-probe-console runtime-dump-cli; do
    echo "    cargo publish -p $package"
done
echo "    git tag -a v$version -m $version && git push origin v$version"
