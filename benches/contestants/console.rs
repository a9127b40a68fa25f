//! A console for tokio-console in a contestant, and an attached client if the harness names one.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Once;

/// The program of the client.
const CLIENT: &str = "CONTESTANT_CONSOLE_CLIENT";

/// Serves the console by `serve` when the first runtime is built. Returns when the client has its first message.
pub fn once(serve: impl FnOnce(SocketAddr)) {
    static SERVED: Once = Once::new();
    SERVED.call_once(|| {
        let address = free_address().expect("a free port on loopback");
        serve(address);
        if let Some(client) = std::env::var_os(CLIENT) {
            attach(Command::new(client), address).expect("an attached client");
        }
    });
}

/// Chosen before the console listens, as console-subscriber does not tell its address.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The client ends by itself when the console is gone, with this process.
fn attach(mut client: Command, address: SocketAddr) -> std::io::Result<()> {
    let mut client = client
        .arg(address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    if let Some(output) = client.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    match line.as_str() {
        "attached\n" => Ok(()),
        _ => Err(std::io::Error::other("the client did not attach")),
    }
}
