//! The end of a server.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::*;

/// A server, and a token that its handler holds for as long as any thread can run the handler.
fn with_token(limits: Limits) -> (Server, Arc<()>) {
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let server = serve(limits, move |request| {
        let _held = &held;
        echo(request)
    });
    (server, token)
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn shutdown_closes_idle_connections_and_joins_all_threads() {
    let (server, token) = with_token(Limits::STANDARD);
    let address = server.local_addr().unwrap();
    let mut callers: Vec<Caller> = (0..20).map(|_| Caller::connect(&server)).collect();
    for caller in &mut callers {
        assert_eq!(caller.send(get("/")).answer().status, 200);
    }
    callers[3].send("GET / HT");
    let begin = Instant::now();
    server.shutdown();
    assert!(
        begin.elapsed() < Limits::STANDARD.idle_time,
        "it waited for idle connections"
    );
    assert_eq!(
        Arc::strong_count(&token),
        1,
        "a thread still has the handler"
    );
    assert!(callers.iter_mut().all(Caller::is_closed));
    assert!(refuses(address));
}

#[test]
fn dropping_is_shutting_down() {
    let (server, token) = with_token(Limits::STANDARD);
    let address = server.local_addr().unwrap();
    drop(server);
    assert_eq!(Arc::strong_count(&token), 1);
    assert!(refuses(address));
}

#[test]
fn a_reply_that_is_being_made_is_finished() {
    let (begun, begin) = mpsc::channel();
    let server = serve(
        Limits {
            shutdown_grace: PATIENCE,
            ..HASTY
        },
        move |request| {
            begun.send(()).unwrap();
            // Until the shutdown refuses connections.
            std::thread::sleep(SHORT);
            echo(request)
        },
    );
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    begin.recv_timeout(PATIENCE).unwrap();
    server.shutdown();
    let answer = caller.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "Get / "));
    assert!(caller.is_closed());
}

#[test]
fn a_stream_without_end_is_cut_off() {
    let server = serve(HASTY, |_| Reply::text(200, Body::stream(endless)));
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    assert_eq!(caller.line().unwrap(), "HTTP/1.1 200 OK");
    let reader = std::thread::spawn(move || caller.0.read_to_end(&mut Vec::new()).is_ok());
    server.shutdown();
    let _ = reader.join().unwrap();
}

#[test]
fn a_handler_that_does_not_come_back_does_not_hold_up_a_shutdown() {
    let (begun, begin) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = serve(HASTY, move |_| {
        begun.send(()).unwrap();
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE * 2);
        Reply::text(200, "")
    });
    let mut caller = Caller::connect(&server);
    caller.send(get("/"));
    begin.recv_timeout(PATIENCE).unwrap();
    let begin = Instant::now();
    server.shutdown();
    assert!(begin.elapsed() < PATIENCE);
    assert!(caller.is_closed());
    go_on.send(()).unwrap();
}

#[test]
fn a_detached_server_stays() {
    let (server, _token) = with_token(Limits::STANDARD);
    let mut caller = Caller::connect(&server);
    server.detach();
    assert_eq!(caller.send(get("/")).answer().status, 200);
}
