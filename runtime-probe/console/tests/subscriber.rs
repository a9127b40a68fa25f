//! tokio's traces, by the same server: resources and asynchronous operations. One way excludes the other.
#![cfg(tokio_unstable)]

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::time::Duration;

use console_api::instrument::InstrumentRequest;
use runtime_probe::runtime::Builder;
use runtime_probe::sync::Semaphore;
use runtime_probe_console::{Server, serve};
use tracing_subscriber::prelude::*;
use view::{PATIENCE, connect};

#[allow(dead_code, reason = "it connects, and another view is taken")]
#[path = "support/view.rs"]
mod view;

/// Tasks that are spawned at once.
const CROWD: usize = 1000;

/// Tasks that wait for a permit that never comes.
fn service(semaphore: &'static Semaphore) -> runtime_probe::runtime::Runtime {
    let service = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let service = service.unwrap();
    for _ in 0..3 {
        service.spawn(async {
            let _permit = semaphore.acquire().await;
        });
    }
    service
}

#[test]
fn resources_and_operations_are_shown_and_no_second_way_is_opened() {
    // Long enough that most of the tasks of a crowd are spawned within one interval.
    let server = Server::new("127.0.0.1:0").interval(Duration::from_millis(500));
    let (layer, serving) = server.subscriber().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let error = serve("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    let sentence = error.to_string();
    assert!(
        sentence.contains("from tokio's tracing") && sentence.contains("one of the two will do"),
        "{sentence}"
    );

    let line = line!() + 1;
    let semaphore = Box::leak(Box::new(Semaphore::new(0)));
    let _service = service(semaphore);
    let mut clients = tokio::runtime::Builder::new_current_thread();
    clients.enable_all().build().unwrap().block_on(async {
        let mut client = connect(serving.local_addr()).await;
        let updates = client.watch_updates(InstrumentRequest {}).await.unwrap();
        let mut updates = updates.into_inner();
        // By their kind, the numbers of the semaphore and of the operations that wait for it.
        let (mut resources, mut waiting) = (HashMap::new(), HashMap::new());
        let search = async {
            loop {
                let update = updates.message().await.unwrap().expect("no end");
                for resource in update
                    .resource_update
                    .into_iter()
                    .flat_map(|told| told.new_resources)
                {
                    let at = resource.location.clone().unwrap_or_default();
                    if at.line == Some(line) && at.file.is_some_and(|file| file.ends_with(file!()))
                    {
                        resources.insert(resource.id.unwrap().id, resource.concrete_type);
                    }
                }
                let told = update.async_op_update.into_iter();
                for operation in told.flat_map(|told| told.new_async_ops) {
                    let of = operation.resource_id.unwrap().id;
                    waiting.insert(operation.id.unwrap().id, of);
                }
                let of_it = waiting.values().filter(|of| resources.contains_key(of));
                if of_it.count() == 3 {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        assert!(
            found.is_ok(),
            "resources {resources:?}, operations {waiting:?}"
        );
        assert!(
            resources.values().all(|kind| kind == "Semaphore"),
            "{resources:?}"
        );

        for _ in 0..CROWD {
            _service.spawn(pending::<()>());
        }
        let (mut shown, mut most) = (0, 0);
        let search = async {
            while shown < CROWD {
                let update = updates.message().await.unwrap().expect("no end");
                let new = update.task_update.map_or(0, |told| told.new_tasks.len());
                (shown, most) = (shown + new, most.max(new));
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        // With tokio's budget of 128 it would be one or two times as many.
        assert!(
            found.is_ok() && most > CROWD / 3,
            "{shown} tasks, {most} in one update"
        );
    });
    // The service is dropped before the tracing of its semaphore.
    drop(_service);
    drop(serving);

    let records = serve("127.0.0.1:0").unwrap();
    let error = Server::new("127.0.0.1:0").subscriber::<tracing_subscriber::Registry>();
    let error = error.err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(
        error.to_string().contains("from the probe's records"),
        "{error}"
    );
    drop(records);
    let again = Server::new("127.0.0.1:0").subscriber::<tracing_subscriber::Registry>();
    assert!(again.is_ok());
}
