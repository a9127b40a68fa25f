//! Many tasks for several clients, and one that takes nothing.

use std::future::pending;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe_console::Server;
use view::{PATIENCE, View, connect};

#[allow(
    dead_code,
    reason = "of the view no more is asked than how much there is"
)]
#[path = "support/view.rs"]
mod view;

/// More than a message takes.
const MANY: usize = 5_000;

/// More than anybody keeps for a client that takes nothing.
const TOO_MANY: usize = 12_000;

fn service(tasks: usize) -> Runtime {
    let service = Builder::new_multi_thread().worker_threads(1).build();
    let service = service.unwrap();
    for _ in 0..tasks {
        service.spawn(pending::<()>());
    }
    service
}

#[test]
fn many_tasks_come_in_several_messages_and_once_to_each_client() {
    let _service = service(MANY);
    let console = Server::new("127.0.0.1:0").serve().unwrap();
    let address = console.local_addr();
    let mut clients = tokio::runtime::Builder::new_current_thread();
    clients.enable_all().build().unwrap().block_on(async {
        let whole = async || {
            let mut view = View::attach(&mut connect(address).await).await;
            view.until(|view| (view.tasks.len() >= MANY).then_some(()))
                .await;
            assert!(view.messages >= 3, "{} messages", view.messages);
        };
        tokio::join!(whole(), whole());
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    let head = [high, middle, low, kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

/// Asks for updates, and reads none of them.
fn deaf(server: SocketAddr) -> TcpStream {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let headers = [
        vec![0x83, 0x86],
        [
            vec![0x04],
            text("/rs.tokio.console.instrument.Instrument/WatchUpdates"),
        ]
        .concat(),
        [vec![0x01], text("localhost")].concat(),
        [vec![0x0f, 0x10], text("application/grpc")].concat(),
        [vec![0x00], text("te"), text("trailers")].concat(),
    ];
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &headers.concat()),
        // An empty message, and no more.
        frame(0, 1, 1, &[0; 5]),
    ];
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(&request.concat()).unwrap();
    stream
}

#[test]
fn a_client_that_takes_nothing_is_hung_up_on() {
    let _service = service(TOO_MANY);
    for patience in [Duration::from_millis(500), Duration::from_secs(3600)] {
        let console = Server::new("127.0.0.1:0").patience(patience);
        let console = console.serve().unwrap();
        let begin = Instant::now();
        let mut deaf = deaf(console.local_addr());
        // It is alive, and says so.
        let ping = frame(6, 0, 0, &[0; 8]);
        let is_patient = patience > PATIENCE;
        let wait = if is_patient {
            Duration::from_secs(2)
        } else {
            PATIENCE
        };
        while begin.elapsed() < wait && deaf.write_all(&ping).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        let hung_up = deaf.write_all(&ping).is_err();
        assert_eq!(
            hung_up,
            !is_patient,
            "after {:?} of {patience:?}",
            begin.elapsed()
        );
    }
}
