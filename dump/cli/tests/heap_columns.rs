//! The bytes of spawn sites, of a service with the probe's allocator: this program.

use std::process::{Command, Output};
use std::time::Duration;

use runtime_probe::pprof::{self, heap::Allocator};
use runtime_probe::runtime::Builder;
use runtime_probe::time;

#[global_allocator]
static HEAP: Allocator = Allocator::system();

async fn keeps() {
    let kept = std::hint::black_box(vec![1_u8; 64 << 20]);
    std::future::pending::<()>().await;
    drop(kept);
}

/// Allocates 10 MiB every 100 ms, and keeps nothing.
async fn churns() {
    loop {
        drop(std::hint::black_box(vec![1_u8; 10 << 20]));
        time::sleep(Duration::from_millis(100)).await;
    }
}

fn top(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_runtime-dump"))
        .arg("top")
        .args(arguments)
        .env_remove("RUNTIME_DUMP_URL")
        .env_remove("RUNTIME_DUMP_TOKEN")
        .output()
        .unwrap()
}

#[test]
fn sites_have_the_bytes_of_their_tasks() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // Every allocation from now on is recorded.
    pprof::set_mem_profile_rate(1);
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    runtime.spawn(churns());
    runtime.spawn(keeps());
    let sites = ["--by", "sites", "--every", "1s", "--sort", "heap", &address];
    let output = top(&sites);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(", by heap: "), "{text}");
    let rows: Vec<&str> = text.lines().skip(2).collect();
    let header: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    // "POLL p50", "WAIT p50" and "DELAY p99" are two words each.
    let column = |name: &str| header.iter().position(|word| *word == name).unwrap() - 3;
    let of = |function: &str| {
        let at = rows
            .iter()
            .position(|row| row.contains(function))
            .expect(function);
        let words: Vec<&str> = rows[at].split_whitespace().collect();
        let bytes = |name| {
            let number = words[column(name)].strip_suffix("MiB");
            number.map_or(0.0, |number| number.parse::<f64>().unwrap())
        };
        (at, bytes("HEAP"), bytes("ALLOC/S"))
    };
    let (keeps_at, kept, _) = of("::keeps");
    let (churns_at, in_use, per_second) = of("::churns");
    assert!(keeps_at < churns_at, "{text}");
    assert!((64.0..66.0).contains(&kept), "{text}");
    assert!(in_use <= 11.0, "{text}");
    // On a loaded machine the task sleeps longer.
    assert!((10.0..=111.0).contains(&per_second), "{text}");

    let refused = top(&["--sort", "heap", &address]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("add --by sites"), "{said}");
}
