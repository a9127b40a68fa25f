//! How long a dump of 100,000 tasks takes. Not a check: a machine that is busy would fail it.
//!
//! `cargo test --release -p runtime-dump --test speed -- --ignored --nocapture`

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::stack::{Frame, Location, Site, Stack};

const ROWS: u64 = 100_000;
const STACKS: u32 = 5;
const DEPTH: u64 = 10;

#[test]
#[ignore = "measures"]
fn dump_of_100_000_tasks() {
    let tables = Tables {
        stacks: (0..STACKS).map(stack).collect(),
        sites: vec![site()],
        ..Tables::default()
    };
    for plain in [false, true] {
        let mut bytes = Vec::with_capacity(200 << 20);
        let (time, ()) = fastest(|| {
            bytes.clear();
            write(&tables, plain, &mut bytes);
        });
        println!(
            "debug=2, plain {plain}: {time:?} into memory, {} MiB",
            bytes.len() >> 20
        );
        let (time, ()) = fastest(|| write(&tables, plain, io::sink()));
        println!("debug=2, plain {plain}: {time:?} into a sink");
    }

    let (time, text) = fastest(|| {
        let mut text = Vec::new();
        counts(&tables).write_text(&mut text).unwrap();
        text
    });
    println!(
        "debug=1, rows counted first: {time:?}, {} bytes",
        text.len()
    );
    let (time, _) = fastest(|| {
        let stack = |id| &tables.stacks[(id % u64::from(STACKS)) as usize];
        CountProfile::new("goroutine", (0..ROWS).map(|id| (stack(id), 1)))
            .write_text(io::sink())
            .unwrap();
    });
    println!("debug=1, row by row: {time:?}");
    let (time, profile) = fastest(|| counts(&tables).to_profile(&tables.mappings, 1).to_gzip());
    println!(
        "debug=0, rows counted first: {time:?}, {} bytes",
        profile.len()
    );
}

fn write(tables: &Tables, plain: bool, out: impl io::Write) {
    let mut writer = TextWriter::new(out, tables, TextOptions { plain });
    for id in 0..ROWS {
        writer.write(&row(id)).unwrap();
    }
    writer.finish().unwrap();
}

fn counts(tables: &Tables) -> CountProfile {
    let mut counts = vec![0; tables.stacks.len()];
    for id in 0..ROWS {
        counts[row(black_box(id)).stack as usize] += 1;
    }
    CountProfile::new("goroutine", tables.stacks.iter().zip(counts))
}

fn fastest<T>(mut run: impl FnMut() -> T) -> (Duration, T) {
    let timed = || {
        let start = Instant::now();
        let result = run();
        (start.elapsed(), result)
    };
    std::iter::repeat_with(timed)
        .take(10)
        .min_by_key(|(time, _)| *time)
        .unwrap()
}

fn row(id: u64) -> Goroutine<'static> {
    Goroutine {
        id: 1_000_000 + id,
        parent: Some(17),
        state: State::Waiting,
        reason: "sync.Mutex.Lock",
        since_ns: 12_345_678_901 + id * 1_000_003,
        polls: id % 1000,
        busy_ns: 3_250_000 + id,
        name: Some("connection"),
        labels: &[],
        notes: &["nothing can wake this task"],
        joins: &[],
        stack: (id % u64::from(STACKS)) as u32,
        site: Some(0),
    }
}

fn stack(number: u32) -> Stack {
    let location = |depth: u64| {
        let address = 0x5555_0000_0001 + u64::from(number) * 0x1000 + depth * 0x10;
        let frame = Frame {
            function: format!("app::stage_{number}::step_{depth}::{{{{closure}}}}").into(),
            file: format!("/home/user/app/src/stage_{number}/step_{depth}.rs").into(),
            line: 10,
        };
        Location {
            return_address: address,
            function_offset: Some(0x40),
            frames: vec![frame],
            hidden: false,
        }
    };
    Stack {
        trunk: (0..DEPTH).map(location).map(Arc::new).collect(),
        ..Stack::default()
    }
}

fn site() -> Site {
    Site {
        function: Some("app::accept::{{closure}}".into()),
        file: "/home/user/app/src/accept.rs".into(),
        line: 42,
        column: 9,
        function_offset: Some(0x2a1),
    }
}
