//! sqlx with sqlite in memory: a pool of one connection, which one task keeps. sqlx's connection works on a thread of
//! its own.

use crate::Outcome;
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use std::time::Duration;
use tokio::sync::oneshot;

/// Two bookings: one never ends its transaction, the other one waits for the connection.
pub async fn start() -> Outcome {
    let options = SqlitePoolOptions::new().max_connections(1);
    let options = options.acquire_timeout(Duration::from_secs(100_000));
    let pool = options.connect("sqlite::memory:").await?;
    sqlx::query("create table entries (amount integer not null)")
        .execute(&pool)
        .await?;
    book(pool.clone(), 1).await?;

    let (began, begun) = oneshot::channel();
    tokio::spawn(audit(pool.clone(), began));
    assert_eq!(begun.await?, 1);
    tokio::spawn(book(pool, 2));
    Ok(())
}

async fn book(pool: SqlitePool, amount: i64) -> Outcome {
    let query = sqlx::query("insert into entries (amount) values (?)").bind(amount);
    query.execute(&pool).await?;
    Ok(())
}

async fn audit(pool: SqlitePool, began: oneshot::Sender<i64>) -> Outcome {
    let mut transaction = pool.begin().await?;
    let sum = sqlx::query_scalar("select sum(amount) from entries");
    let sum: i64 = sum.fetch_one(&mut *transaction).await?;
    _ = began.send(sum);
    approval().await;
    Ok(transaction.commit().await?)
}

async fn approval() {
    tokio::time::sleep(Duration::from_secs(100_000)).await;
}
