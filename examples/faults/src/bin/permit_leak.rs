//! Requests are cancelled after they took a permit of a limiter and before they noted it. In the end no request holds a permit,
//! and all wait for one.

use faults::repaired;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time;

struct Limiter {
    places: Semaphore,
}

struct Place(Arc<Limiter>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.add_permits(1);
    }
}

impl Limiter {
    async fn enter(self: &Arc<Self>) -> Place {
        self.places.acquire().await.unwrap().forget();
        if repaired() {
            let place = Place(self.clone());
            check_quota().await;
            return place;
        }
        // A request that is cancelled here never gives its permit back: the fault.
        check_quota().await;
        Place(self.clone())
    }
}

async fn check_quota() {
    time::sleep(Duration::from_millis(100)).await;
}

async fn request(limiter: Arc<Limiter>, patience: Duration) {
    let served = async {
        let _place = limiter.enter().await;
        time::sleep(Duration::from_millis(10)).await;
    };
    let _ = time::timeout(patience, served).await;
}

#[tokio::main]
async fn main() {
    let limiter = Arc::new(Limiter {
        places: Semaphore::new(10),
    });
    for _ in 0..10 {
        tokio::spawn(request(limiter.clone(), Duration::from_millis(10)));
    }
    time::sleep(Duration::from_millis(50)).await;
    for _ in 0..60 {
        tokio::spawn(request(limiter.clone(), Duration::from_secs(600)));
    }
    std::future::pending::<()>().await;
}
