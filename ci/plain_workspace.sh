# Sourced by scripts that build programs of ours with plain tokio: the functions that make a separate workspace for them.

# The version of tokio in the root's lock file, which has exactly one.
locked_tokio() {
    local tokio
    tokio=$(awk '/^name = /{name=$3} /^version = / && name=="\"tokio\""{print $3}' Cargo.lock | tr -d '"')
    [[ $tokio =~ ^[0-9.]+$ ]] || { echo "Cargo.lock must name one tokio, found: '$tokio'" >&2; return 1; }
    echo "$tokio"
}

# Arguments: a directory, the path of the one member, which is below it already. The workspace has the root's manifest and
# lock file, and the member has tokio in place of the probe, so versions, features and flags are the same.
plain_workspace() {
    local tokio
    tokio=$(locked_tokio)
    cp Cargo.lock "$1/"
    sed -E "/^members = /s|=.*|= [\"$2\"]|; /^(default-members|exclude) = /d" Cargo.toml > "$1/Cargo.toml"
    sed -i -E "s|package = \"runtime-probe\", path = \"[^\"]*\"|version = \"=$tokio\"|" "$1/$2/Cargo.toml"
    if grep -rn 'pprof\|runtime[-_]probe' "$1/$2/Cargo.toml" "$1/$2/src" | grep -v '//\|:#\|:[0-9]*:#'; then
        echo "the programs still know the probe" >&2
        return 1
    fi
}
