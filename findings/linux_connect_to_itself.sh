#!/usr/bin/env bash
# rustc 1.95.0 on Linux 6.18 (seen): a client that tries again and again to reach a local server which is down.
#
# Guess: each try fails with ConnectionRefused, until the server listens again. The port belongs to the server or to nothing.
# Reality: if the port is in the range that the kernel takes the client's own ports from (`net.ipv4.ip_local_port_range`, 32768 to 60999), a try
# gets the very port that it connects to. TCP lets the two ends open at once, so the socket is connected with itself: `connect` is Ok, without a
# listener, and what is written comes back. While it is open the server cannot bind its port. Tries until then, each port for itself; the kernel
# prefers one half of the ports, so for the other half it does not happen as long as ports are free:
#
#     an even port     6,689 tries refused, less than a second, then Ok
#     then             local_addr() == peer_addr(), the bytes that were sent are read, bind: AddrInUse
#
# Why it matters: test servers and services behind a sidecar get their ports from that range (port 0), and their clients reconnect without a pause
# or at ten a second. A health check says that the server is up. A dump of the client shows a task that waits for the answer of a server, and each
# `read` has the request in it. The server does not start, because its own client has the port. Keep servers out of the range
# (`ip_local_reserved_ports`), and close a connection whose two addresses are equal.
#
# The script runs in a network namespace of its own. Where it may not make one, it says so and runs on the machine's loopback: up to 200,000 tries
# to connect to one port of 127.0.0.1 that was free before. If another program listens there meanwhile, nothing is written to it.
set -euo pipefail
command -v rustc > /dev/null || { echo "linux_connect_to_itself.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

cat > retry.rs <<'RS'
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let range: Vec<u16> = range.split_whitespace().map(|bound| bound.parse().unwrap()).collect();
    let middle = (range[0] / 2 + range[1] / 2) & !1;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (middle..range[1]).step_by(2).find(free).expect("no free port");
    let mut tries = 0;
    let mut stream = loop {
        tries += 1;
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(stream) => break stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused && tries < 200_000 => {}
            Err(error) => panic!("try {tries}: {error}"),
        }
    };
    // Another program may have got the port: nothing is written to it.
    if stream.local_addr().unwrap() != stream.peer_addr().unwrap() {
        eprintln!("try {tries}: another program listens at port {port}");
        std::process::exit(2);
    }
    println!("refused {} then connected", tries > 1);
    eprintln!("connected by try {tries}");
    println!("with_itself true");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /health").unwrap();
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).unwrap();
    println!("answer {}", String::from_utf8_lossy(&answer));
    println!("bind {:?}", TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| ()).map_err(|error| error.kind()));
}
RS
rustc --version
rustc --edition 2024 -O retry.rs
alone=()
for user in "" --map-root-user; do
    if unshare --net ${user:+"$user"} sh -c 'ip link set lo up' 2> /dev/null; then
        alone=(unshare --net ${user:+"$user"} sh -c 'ip link set lo up && exec "$@"' sh)
        break
    fi
done
[ ${#alone[@]} -gt 0 ] || echo "no network namespace (needs unshare, ip and the right to make one): up to 200,000 connects on 127.0.0.1"
code=0
"${alone[@]}" ./retry > seen || code=$?
[ $code != 2 ] || { echo "linux_connect_to_itself.sh: another program got the port meanwhile; try again" >&2; exit 2; }
[ $code = 0 ] || { echo "changed: a client is not connected with itself" >&2; exit 1; }
cat seen
diff seen - <<'TXT' || { echo "changed: what a client is connected with, or what that does to the port" >&2; exit 1; }
refused true then connected
with_itself true
answer GET /health
bind Err(AddrInUse)
TXT
