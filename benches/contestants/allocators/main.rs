//! The cost of an allocator: `contestant NAME [COUNT]` runs one workload and prints one line, `NAME metric=value
//! ops=count`.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

#[cfg(feature = "probe")]
mod labels;
mod profiler;

/// Operations before the clock starts.
const WARM_UP: u64 = 10_000;

/// A block of 64 bytes, allocated, filled and freed. 64 others are alive, so that no block's address decides: one that crosses
/// a page took 27 ns where others take 10. The words are not zero: rustc allocates a box of zeros by `calloc`, whose path in
/// glibc is another one.
fn malloc(ops: u64) -> f64 {
    let mut blocks: [Box<[u64; 8]>; 64] = std::array::from_fn(|_| Box::new([1; 8]));
    timed(ops, |at| {
        blocks[at as usize % 64] = black_box(Box::new([at; 8]));
    })
}

/// Documents that a service reads and writes: parsed, changed and written again.
fn json(ops: u64) -> f64 {
    let orders: Vec<String> = (0..16)
        .map(|number| {
            let items: Vec<_> = (0..number % 5 + 1)
                .map(|item| format!(r#"{{"sku":"sku-{item}","count":{item},"price":{number}.5}}"#))
                .collect();
            format!(
                r#"{{"id":{number},"customer":"customer {number}","note":"at the \"back\" door","items":[{}]}}"#,
                items.join(",")
            )
        })
        .collect();
    timed(ops, |at| {
        let mut order: serde_json::Value =
            serde_json::from_str(&orders[at as usize % orders.len()]).expect("JSON");
        order["status"] = "taken".into();
        drop(black_box(order.to_string()));
    })
}

/// A block of 64 bytes, allocated and freed twenty calls deep, with each allocation sampled.
fn sample(ops: u64) -> f64 {
    #[inline(never)]
    fn deep(calls: u32) {
        match calls {
            0 => drop(black_box(Box::new([1u64; 8]))),
            _ => deep(black_box(calls) - 1),
        }
        black_box(calls);
    }
    profiler::sample_all();
    timed(ops, |_| deep(20))
}

fn timed(ops: u64, mut run: impl FnMut(u64)) -> f64 {
    (0..WARM_UP.min(ops)).for_each(&mut run);
    let began = Instant::now();
    (0..ops).for_each(&mut run);
    began.elapsed().as_nanos() as f64 / ops.max(1) as f64
}

/// Brings a process into the state of a service, whichever its allocator. It has had a second thread: from then on glibc's
/// allocator uses atomic instructions, which made `json` 8 % slower. Its blocks do not lie at the same place in each run.
fn be_a_service() {
    let second = std::thread::spawn(|| ());
    second.join().expect("a thread");
    let place = 0u8;
    // The system puts the stack at a random address.
    let shift = std::ptr::from_ref(&place).addr() / 16 % 256;
    std::mem::forget(black_box(vec![0u8; 16 * (shift + 1)]));
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|text| text.parse().ok());
    let run: fn(u64) -> f64 = match name.as_str() {
        "malloc" => malloc,
        "json" => json,
        "sample" => sample,
        #[cfg(feature = "probe")]
        "label" => labels::polls,
        _ => {
            eprintln!("usage: contestant malloc|json|sample|label [COUNT]");
            return ExitCode::FAILURE;
        }
    };
    let ops = count.unwrap_or(1_000_000);
    be_a_service();
    let profiler = profiler::start();
    println!("{name} ns_per_op={:.3} ops={ops}", run(ops));
    drop(profiler);
    ExitCode::SUCCESS
}
