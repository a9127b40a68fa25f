//! The most that a hostile or forgetful client can take: sizes, times, connections, file descriptors.

use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Instant;

use super::*;
use crate::limits::{MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES};

#[test]
fn a_head_up_to_the_limits_is_read_and_no_longer() {
    let server = serve(Limits::STANDARD, |_| Reply::text(200, ""));
    let status = |request: String| ask(&server, request).status;

    let target = |length| get(&format!("/{}", "a".repeat(length - 1)));
    assert_eq!(status(target(MAX_TARGET_BYTES)), 200);
    assert_eq!(status(target(MAX_TARGET_BYTES + 1)), 414);
    assert_eq!(status(target(MAX_HEAD_BYTES * 2)), 414);

    let head = |length| {
        let begin = "GET / HTTP/1.1\r\nHost: localhost\r\nA: ";
        let filler = "a".repeat(length - begin.len() - 4);
        format!("{begin}{filler}\r\n\r\n")
    };
    assert_eq!(status(head(MAX_HEAD_BYTES)), 200);
    assert_eq!(status(head(MAX_HEAD_BYTES + 1)), 431);
    assert_eq!(status(head(MAX_HEAD_BYTES * 10)), 431);

    let headers = |count| {
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "A: b\r\n".repeat(count - 1)
        )
    };
    assert_eq!(status(headers(MAX_HEADERS)), 200);
    assert_eq!(status(headers(MAX_HEADERS + 1)), 431);
}

#[test]
fn a_dribble_does_not_extend_the_time_of_a_head() {
    let server = serve(
        Limits {
            idle_time: PATIENCE,
            ..HASTY
        },
        echo,
    );
    for first in [String::new(), get("/")] {
        let mut caller = Caller::connect(&server);
        caller.send(&first);
        if !first.is_empty() {
            assert_eq!(caller.answer().status, 200);
        }
        caller.send("GET / HTTP/1.1\r\nA: ");
        let begin = Instant::now();
        while caller.try_send("a").is_ok() && begin.elapsed() < PATIENCE {
            thread::sleep(SHORT / 10);
        }
        assert!(begin.elapsed() < PATIENCE);
        assert_eq!(caller.answer().status, 408);
    }
}

#[test]
fn a_dribble_does_not_extend_the_time_of_a_body() {
    let server = serve(HASTY, echo);
    let mut caller = Caller::connect(&server);
    caller.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
    let begin = Instant::now();
    while caller.try_send("a").is_ok() && begin.elapsed() < PATIENCE {
        thread::sleep(SHORT / 10);
    }
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(caller.answer().status, 408);
}

#[test]
fn silence_is_closed_without_a_word() {
    let server = serve(HASTY, echo);
    assert!(Caller::connect(&server).is_closed());
    let mut caller = Caller::connect(&server);
    assert_eq!(caller.send(get("/")).answer().status, 200);
    assert!(caller.is_closed());
}

/// A server with one endless reply, and a receiver of its writer's error.
fn endless_server() -> (Server, mpsc::Receiver<io::ErrorKind>) {
    let (ended, end) = mpsc::channel();
    let server = serve(HASTY, move |_| {
        let ended = ended.clone();
        Reply::text(
            200,
            Body::stream(move |out| {
                let error = endless(out).unwrap_err();
                ended.send(error.kind()).unwrap();
                Err(error)
            }),
        )
    });
    (server, end)
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let (server, end) = endless_server();
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    assert_eq!(end.recv_timeout(PATIENCE).unwrap(), io::ErrorKind::TimedOut);
    assert_eq!(caller.answer_to("GET"), None, "it was cut off");
}

#[test]
fn a_client_that_reads_a_dribble_is_dropped() {
    let (server, end) = endless_server();
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    let begin = Instant::now();
    let error = loop {
        assert_eq!(caller.0.get_mut().read(&mut [0; 16]).unwrap(), 16);
        match end.recv_timeout(SHORT / 10) {
            Ok(error) => break error,
            Err(_) => assert!(begin.elapsed() < PATIENCE),
        }
    };
    assert_eq!(error, io::ErrorKind::TimedOut);
}

#[test]
fn idle_connections_do_not_lock_a_person_out() {
    let server = serve(Limits::STANDARD, echo);
    let mut idle: Vec<Caller> = (0..70)
        .map(|n| {
            let mut caller = Caller::connect(&server);
            match n % 3 {
                0 => {}
                1 => drop(caller.send("GET / HT")),
                _ => assert_eq!(caller.send(get("/")).answer().status, 200),
            }
            caller
        })
        .collect();
    assert_eq!(ask(&server, get("/person")).body, "Get /person ");
    let tally = server.tally();
    assert!(tally.evicted >= 7 && tally.refused == 0, "{tally:?}");
    assert!(idle[0].is_closed(), "the first has waited longest");
}

#[test]
fn answers_are_not_evicted_and_the_newest_is_refused() {
    let gate = Arc::new(Barrier::new(3));
    let handlers_gate = Arc::clone(&gate);
    let server = serve(
        Limits {
            connections: 2,
            ..Limits::STANDARD
        },
        move |request| {
            if request.path() == "/slow" {
                handlers_gate.wait();
                handlers_gate.wait();
            }
            echo(request)
        },
    );
    let mut busy = [Caller::connect(&server), Caller::connect(&server)];
    for caller in &mut busy {
        caller.send(get("/slow"));
    }
    gate.wait();
    let refused = ask(&server, get("/"));
    assert_eq!((refused.status, refused.closes()), (503, true));
    gate.wait();
    for caller in &mut busy {
        assert_eq!(caller.answer().status, 200);
    }
    assert_eq!(ask(&server, get("/")).status, 200);
    assert_eq!(server.tally().refused, 1);
}

#[test]
fn a_slow_reader_gives_way_and_an_answer_that_is_being_made_does_not() {
    a_slow_reader_gives_way(tcp(), Caller::connect, || {
        Reply::text(200, Body::stream(endless))
    });
}

/// More than a slow reader reads in [`PATIENCE`].
const LARGE: usize = 64 << 20;

#[test]
fn a_slow_reader_of_one_large_chunk_on_a_unix_socket_gives_way() {
    a_slow_reader_gives_way(unix("chunk"), Caller::connect_unix, || {
        Reply::text(200, Body::stream(|out| out.write_all(&vec![0; LARGE])))
    });
}

#[test]
fn a_slow_reader_of_many_bytes_on_a_unix_socket_gives_way() {
    a_slow_reader_gives_way(unix("bytes"), Caller::connect_unix, || {
        Reply::text(200, vec![0; LARGE])
    });
}

/// One permit is taken by an answer that is being made, one by a client that reads slowly, yet fast enough not to be dropped.
fn a_slow_reader_gives_way<S: Read + Write + Send + 'static>(
    listener: Listener,
    connect: fn(&Server) -> Caller<S>,
    long: fn() -> Reply,
) {
    let limits = Limits {
        connections: 2,
        // On a busy machine the reader may run so late.
        write_stall: SHORT * 8,
        ..Limits::STANDARD
    };
    let gate = Arc::new(Barrier::new(2));
    let handlers_gate = Arc::clone(&gate);
    let server = serve_on(listener, limits, move |request| match request.path() {
        "/long" => long(),
        "/made" => {
            handlers_gate.wait();
            handlers_gate.wait();
            echo(request)
        }
        _ => echo(request),
    });
    let mut made = connect(&server);
    made.send(get("/made"));
    gate.wait();
    let begin = Instant::now();
    let mut slow = connect(&server);
    slow.send(get("/long")).line().unwrap();
    let reader = thread::spawn(move || {
        while begin.elapsed() < PATIENCE
            && let Ok(1..) = slow.0.get_mut().read(&mut [0; 16 * 1024])
        {
            thread::sleep(SHORT / 20);
        }
        begin.elapsed()
    });

    let mut refused = 0;
    loop {
        let mut caller = connect(&server);
        // A refusal may come first.
        let _ = caller.try_send(get("/"));
        if caller.answer().status != 503 {
            break;
        }
        refused += 1;
        assert!(begin.elapsed() < PATIENCE);
        thread::sleep(SHORT / 10);
    }
    let served = reader.join().unwrap();
    assert!(
        (limits.write_stall..PATIENCE).contains(&served),
        "{served:?}"
    );
    let tally = server.tally();
    assert_eq!((tally.refused, tally.evicted), (refused, 1), "{tally:?}");
    assert!(refused > 0, "a moment is nothing to be sent away for");
    gate.wait();
    assert_eq!(made.answer().status, 200);
}

#[test]
fn a_thousand_connections_come_and_go() {
    let server = serve(Limits::STANDARD, echo);
    for n in 0..1000 {
        let mut caller = Caller::connect(&server);
        if n % 10 == 0 {
            assert_eq!(caller.send(get("/")).answer().status, 200);
        }
    }
    assert_eq!(ask(&server, get("/")).status, 200);
    let tally = server.tally();
    assert_eq!((tally.admitted, tally.refused), (1001, 0), "{tally:?}");
}

#[test]
fn many_clients_at_once_are_all_answered() {
    let server = serve(Limits::STANDARD, echo);
    thread::scope(|scope| {
        for n in 0..32 {
            let server = &server;
            scope.spawn(move || {
                let mut caller = Caller::connect(server);
                for _ in 0..50 {
                    let path = format!("/{n}");
                    assert_eq!(
                        caller.send(get(&path)).answer().body,
                        format!("Get {path} ")
                    );
                }
            });
        }
    });
    assert_eq!(server.tally().admitted, 32);
}

/// In a process of its own, as the signal of a write to a client that has left ends the process.
#[test]
fn a_client_that_leaves_within_a_chunk_raises_no_signal() {
    use std::process::Command;

    const INSIDE: &str = "PROBE_TEST_PIPE_SIGNAL";
    if env::var_os(INSIDE).is_none() {
        let name = format!(
            "{}::a_client_that_leaves_within_a_chunk_raises_no_signal",
            module_path!()
        );
        let (_, name) = name.split_once("::").unwrap();
        let inside = Command::new(env::current_exe().unwrap())
            .args(["--exact", name])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        assert!(inside.status.success(), "{inside:?}");
        return;
    }

    #[expect(unsafe_code, reason = "std ignores the signal")]
    // SAFETY: takes numbers only, and no handler of this process runs.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_ne!(before, libc::SIG_ERR);
    leave_within_a_chunk(tcp(), Caller::connect);
    leave_within_a_chunk(unix("leaver"), Caller::connect_unix);
}

/// The client reads all bytes of the first chunk before it leaves. Otherwise the connection would be reset, which is
/// another error, without a signal.
fn leave_within_a_chunk<S: Read + Write>(listener: Listener, connect: fn(&Server) -> Caller<S>) {
    let (leave, left) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let (left, ended) = (Mutex::new(left), Mutex::new(ended));
    let steps = Arc::new((left, ended));
    let server = serve_on(listener, Limits::STANDARD, move |_| {
        let steps = Arc::clone(&steps);
        Reply::text(
            200,
            Body::stream(move |out| {
                out.write_all(b"first")?;
                out.flush()?;
                steps.0.lock().unwrap().recv().unwrap();
                let error = out.write_all(&vec![0; LARGE]).unwrap_err();
                steps.1.lock().unwrap().send(error.kind()).unwrap();
                Err(error)
            }),
        )
    });
    let mut caller = connect(&server);
    caller.send(get("/"));
    while caller.line().unwrap() != "first" {}
    assert!(caller.0.buffer().is_empty());
    drop(caller);
    leave.send(()).unwrap();
    let error = end.recv_timeout(PATIENCE).unwrap();
    assert_eq!(error, io::ErrorKind::BrokenPipe);
}

/// In a process of its own: the lack of file descriptors would fail every other test.
#[cfg(unix)]
#[test]
fn without_file_descriptors_accept_does_not_spin() {
    use std::env;
    use std::fs::File;
    use std::process::Command;

    const INSIDE: &str = "PROBE_TEST_FEW_FILES";
    if env::var_os(INSIDE).is_none() {
        let name = format!(
            "{}::without_file_descriptors_accept_does_not_spin",
            module_path!()
        );
        let (_, name) = name.split_once("::").unwrap();
        let status = Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" --exact \"$1\""])
            .arg(env::current_exe().unwrap())
            .arg(name)
            .env(INSIDE, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }

    let server = serve(Limits::STANDARD, echo);
    let mut files: Vec<File> = (0..64)
        .map_while(|_| File::open("/dev/null").ok())
        .collect();
    files.pop();
    // The request is served now if the thread was in `accept`, which takes its descriptor first; otherwise later.
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    while server.tally().accept_errors == 0 {
        thread::sleep(SHORT / 10);
    }
    thread::sleep(SHORT * 4);
    let errors = server.tally().accept_errors;
    assert!(errors < 50, "{errors} attempts within a second");
    drop(files);
    assert_eq!(caller.answer().status, 200);
    assert_eq!(ask(&server, get("/")).status, 200);
}
