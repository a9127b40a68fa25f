//! An application's call chain, eight async functions deep, with a wait at its end.
//!
//! Every second call goes through a boxed `dyn Future`, as in code with traits and layers. The optimizer inlines a
//! plain `.await` into its caller; a boxed one keeps its frame on the stack.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// The wait at the end of a task's call chain.
pub enum Wait {
    Channel(mpsc::Receiver<()>),
    Oneshot(oneshot::Receiver<()>),
    Sleep(Duration),
}

/// The outermost of the eight; `waiting` counts the tasks that have reached their wait.
pub async fn serve_connection(wait: Wait, waiting: Arc<AtomicU64>) {
    handle_request(wait, &waiting).await;
}

async fn handle_request(wait: Wait, waiting: &AtomicU64) {
    boxed(authorize(wait, waiting)).await;
}

async fn authorize(wait: Wait, waiting: &AtomicU64) {
    load_session(wait, waiting).await;
}

async fn load_session(wait: Wait, waiting: &AtomicU64) {
    boxed(query_store(wait, waiting)).await;
}

async fn query_store(wait: Wait, waiting: &AtomicU64) {
    with_connection(wait, waiting).await;
}

async fn with_connection(wait: Wait, waiting: &AtomicU64) {
    boxed(checkout(wait, waiting)).await;
}

async fn checkout(wait: Wait, waiting: &AtomicU64) {
    wait_turn(wait, waiting).await;
}

async fn wait_turn(wait: Wait, waiting: &AtomicU64) {
    waiting.fetch_add(1, Relaxed);
    match wait {
        Wait::Channel(mut receiver) => drop(receiver.recv().await),
        Wait::Oneshot(receiver) => drop(receiver.await),
        Wait::Sleep(duration) => tokio::time::sleep(duration).await,
    }
}

fn boxed<'a>(
    future: impl Future<Output = ()> + Send + 'a,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(future)
}
