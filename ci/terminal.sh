# Sourced by scripts that read the screens of programs on a terminal of tmux. Uses $target; screens are kept in target/NAME.
# The script's service, if it starts one, is $service_pid, with its output in $out/stdout and $out/stderr.

script=$(basename "$0")
screens=$target/${script%.sh}
rm -rf "$screens"
mkdir -p "$screens"
out=$(mktemp -d)
server=$out/tmux
service_pid=
finish() {
    tmux -u -S "$server" kill-server 2> /dev/null || true
    [ -z "$service_pid" ] || kill "$service_pid" 2> /dev/null || true
    rm -rf "$out"
}
trap finish EXIT

fail() {
    echo "$script: $1" >&2
    tmux -u -S "$server" capture-pane -p >&2 2> /dev/null || true
    cat "$out/complaints" >&2 2> /dev/null || true
    cat "$out/stdout" "$out/stderr" >&2 2> /dev/null || true
    exit 1
}

# Arguments: the most seconds, a description, a command that succeeds when the condition holds.
within() {
    local seconds=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not within $seconds s: $what"
        sleep 0.2
    done
    echo "$script: $what"
}

# The addresses of the shop of the README and of its probe, once the shop has printed them.
shop_and_probe() {
    sed -n 's/^The shop listens on \([0-9.:]*\), the probe on \([0-9.:]*\);.*/\1 \2/p' "$out/stdout"
}

keys() { tmux -u -S "$server" send-keys "$@"; }
look() { tmux -u -S "$server" capture-pane -p > "$out/screen"; }

# Whether a line of the screen matches.
shows() { look && grep -qE "$1" "$out/screen"; }
hides() { look && ! grep -qE "$1" "$out/screen"; }
keep() { cp "$out/screen" "$screens/$1.txt"; }
