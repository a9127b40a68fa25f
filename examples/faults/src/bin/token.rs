//! An access token is fetched while its lock is held, from a peer that accepts connections and never answers. Each call needs the
//! token, and each has a time limit.

use faults::repaired;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time;

struct Access {
    issuer: SocketAddr,
    token: Mutex<Option<String>>,
}

impl Access {
    async fn token(&self) -> String {
        if repaired() {
            let token = self.fetch().await;
            return self.token.lock().await.insert(token).clone();
        }
        let mut token = self.token.lock().await;
        match &*token {
            Some(token) => token.clone(),
            None => token.insert(self.fetch().await).clone(),
        }
    }

    /// The caller holds the lock while this waits: the fault.
    async fn fetch(&self) -> String {
        let mut issuer = TcpStream::connect(self.issuer).await.unwrap();
        issuer.write_all(b"token?\n").await.unwrap();
        let mut token = String::new();
        issuer.read_to_string(&mut token).await.unwrap();
        token
    }
}

async fn call(access: Arc<Access>) {
    let token = time::timeout(Duration::from_secs(900), access.token());
    println!("{:?}", token.await);
}

async fn silent_issuer(listener: TcpListener) {
    let mut kept = Vec::new();
    while let Ok((connection, _)) = listener.accept().await {
        kept.push(connection);
    }
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = Arc::new(Access {
        issuer: listener.local_addr().unwrap(),
        token: Mutex::default(),
    });
    tokio::spawn(silent_issuer(listener));
    for _ in 0..20 {
        tokio::spawn(call(access.clone()));
        time::sleep(Duration::from_millis(20)).await;
    }
    std::future::pending::<()>().await;
}
