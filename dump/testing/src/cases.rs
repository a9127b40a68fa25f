//! The dumps that every encoder is tested with: one for each feature of the model.

use std::sync::Arc;

use runtime_dump::goroutine::samples::SampleWriter;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::proto::Profile;
use runtime_dump::stack::{Branch, BranchKind, Frame, Location, Mapping, Site, Stack};

/// A dump with a name, for tests.
pub struct Case {
    /// The name, which is also that of the golden file.
    pub name: &'static str,
    pub tables: Tables,
    pub rows: Vec<Goroutine<'static>>,
}

impl Case {
    /// The dump as `debug=2`.
    pub fn goroutine_text(&self, options: TextOptions) -> String {
        let mut text = Vec::new();
        let mut writer = TextWriter::new(&mut text, &self.tables, options);
        for row in &self.rows {
            writer.write(row).unwrap();
        }
        writer.finish().unwrap();
        String::from_utf8(text).unwrap()
    }

    pub fn counts(&self) -> CountProfile {
        let stack = |row: &Goroutine| &self.tables.stacks[row.stack as usize];
        CountProfile::new("goroutine", self.rows.iter().map(|row| (stack(row), 1)))
    }

    /// The dump as `debug=1`.
    pub fn count_text(&self) -> String {
        let mut text = Vec::new();
        self.counts().write_text(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// The dump as `debug=0`.
    pub fn profile(&self) -> Profile {
        self.counts()
            .to_profile(&self.tables.mappings, self.tables.time_ns)
    }

    /// The dump as `debug=3`, compressed.
    pub fn samples(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = SampleWriter::new(&mut bytes, "goroutine", &self.tables, &[]);
        for row in &self.rows {
            writer.write(row).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }
}

/// All cases.
pub fn all() -> Vec<Case> {
    vec![
        empty(),
        one_task(),
        shared_stack(),
        equal_lists(),
        minutes(),
        names_and_notes(),
        branches(),
        branches_without_trunk(),
        elided(),
        hidden(),
        no_symbols(),
        missing_stacks(),
        sites(),
        rust_names(),
        line_breaks(),
        mappings(),
        other_scripts(),
    ]
}

fn empty() -> Case {
    case("empty", vec![], vec![])
}

fn one_task() -> Case {
    case("one_task", vec![handler()], vec![row(7, 0)])
}

fn shared_stack() -> Case {
    let other = stack([at(
        0x9000,
        "tokio::time::Sleep::poll",
        "/cargo/tokio/src/time/sleep.rs",
        448,
    )]);
    case(
        "shared_stack",
        vec![other, handler()],
        vec![row(1, 0), row(2, 1), row(3, 1), row(4, 1)],
    )
}

fn equal_lists() -> Case {
    // Two stacks with the same trunk and different branches. Their address lists differ.
    let mut first = handler();
    first.branches = vec![
        waiting([at(0x9000, "left", "src/a.rs", 1)]),
        waiting([at(0x9010, "right", "src/a.rs", 2)]),
    ];
    let mut second = handler();
    second.branches = vec![
        waiting([at(0x9020, "up", "src/b.rs", 1)]),
        waiting([at(0x9030, "down", "src/b.rs", 2)]),
    ];
    case(
        "equal_lists",
        vec![first, second],
        vec![row(1, 0), row(2, 1)],
    )
}

fn minutes() -> Case {
    let since = |id, state, reason, since_ns| Goroutine {
        state,
        reason,
        since_ns,
        ..row(id, 0)
    };
    let rows = vec![
        since(1, State::Waiting, "chan receive", 59_999_999_999),
        since(2, State::Waiting, "chan receive", 60_000_000_000),
        since(3, State::Waiting, "chan receive", 3_723_004_000_000),
        since(4, State::Running, "running", 600_000_000_000),
        since(5, State::Runnable, "runnable", 600_000_000_000),
        since(6, State::Running, "", 12),
    ];
    case("minutes", vec![handler()], rows)
}

fn names_and_notes() -> Case {
    let rows = vec![
        Goroutine {
            name: Some("conn-12"),
            labels: &[("k/1", "v.2"), ("req", "a b"), ("user", "q\"x")],
            ..row(1, 0)
        },
        Goroutine {
            name: Some("reads \"a, b\""),
            notes: &["nothing can wake this task"],
            ..row(2, 0)
        },
        Goroutine {
            name: Some(""),
            notes: &["on worker tokio-runtime-worker-3", "budget used up"],
            ..row(3, 0)
        },
    ];
    case("names_and_notes", vec![handler()], rows)
}

fn branches() -> Case {
    let mut stack = handler();
    stack.branches = vec![
        waiting([at(
            0x9000,
            "tokio::sync::mpsc::Receiver<T>::recv",
            "/cargo/tokio/src/sync/mpsc/bounded.rs",
            253,
        )]),
        waiting([
            at(
                0x9010,
                "tokio::time::Sleep::poll",
                "/cargo/tokio/src/time/sleep.rs",
                448,
            ),
            at(
                0x9020,
                "app::with_deadline::{{closure}}",
                "src/deadline.rs",
                9,
            ),
        ]),
        Branch {
            kind: BranchKind::AlsoRegistered,
            locations: vec![at(
                0x9030,
                "tokio::sync::Notified::poll",
                "/cargo/tokio/src/sync/notify.rs",
                1,
            )],
        },
    ];
    case(
        "branches",
        vec![stack],
        vec![Goroutine {
            reason: "select",
            ..row(1, 0)
        }],
    )
}

fn branches_without_trunk() -> Case {
    let branches = vec![
        waiting([at(0x9000, "left", "src/a.rs", 1)]),
        waiting([at(0x9010, "right", "src/a.rs", 2)]),
    ];
    case(
        "branches_without_trunk",
        vec![Stack {
            branches,
            ..Stack::default()
        }],
        vec![row(1, 0)],
    )
}

fn elided() -> Case {
    let trunk: Vec<_> = (0..4)
        .map(|depth| at(0x9000 + depth * 0x10, "app::walk", "src/walk.rs", 20))
        .collect();
    let gap = |gap| Stack {
        trunk: trunk.clone(),
        elided: Some((gap, 1234)),
        ..Stack::default()
    };
    case(
        "elided",
        vec![gap(2), gap(0), gap(99)],
        vec![row(1, 0), row(2, 1), row(3, 2)],
    )
}

fn hidden() -> Case {
    let scaffolding = || {
        let mut location = (*at(
            0x9000,
            "tokio::runtime::task::raw::poll",
            "/cargo/tokio/src/raw.rs",
            1,
        ))
        .clone();
        location.hidden = true;
        Arc::new(location)
    };
    let mut some = handler();
    some.trunk.insert(1, scaffolding());
    some.trunk.push(scaffolding());
    case(
        "hidden",
        vec![some, stack([scaffolding()])],
        vec![row(1, 0), row(2, 1)],
    )
}

fn no_symbols() -> Case {
    let unknown = Location {
        return_address: 0x5555_0000_9001,
        function_offset: None,
        frames: vec![],
        hidden: false,
    };
    let no_file = at(0x9010, "memcpy", "", 0);
    case(
        "no_symbols",
        vec![stack([Arc::new(unknown), no_file])],
        vec![row(1, 0)],
    )
}

fn missing_stacks() -> Case {
    let missing = |reason: &str| Stack {
        missing: Some(reason.into()),
        ..Stack::default()
    };
    let mut partial = handler();
    partial.missing = Some("cut short: bad frame pointer".into());
    let stacks = vec![
        missing("foreign task: thread 7 polls it"),
        missing("foreign task: thread 8 polls it"),
        missing("being polled"),
        Stack::default(),
        partial,
    ];
    let rows = vec![
        row(1, 0),
        row(2, 1),
        Goroutine {
            site: None,
            ..row(3, 2)
        },
        row(4, 3),
        row(5, 4),
    ];
    case("missing_stacks", stacks, rows)
}

fn sites() -> Case {
    let rows = vec![
        row(1, 0),
        Goroutine {
            parent: None,
            ..row(2, 0)
        },
        Goroutine {
            site: None,
            ..row(3, 0)
        },
        Goroutine {
            site: Some(1),
            ..row(4, 0)
        },
        Goroutine {
            site: Some(1),
            parent: None,
            ..row(5, 0)
        },
    ];
    case("sites", vec![handler()], rows)
}

fn rust_names() -> Case {
    let names = [
        "<tokio::net::TcpStream as tokio::io::AsyncRead>::poll_read",
        "alloc::vec::Vec<T,A>::push",
        "<fn(i32) -> u8 as app::Handler>::call",
        "app::serve::{{closure}}::{{closure}}",
        "app::{impl#3}::poll",
        "core::array::<impl [T; 1]>::map",
    ];
    let location =
        |(index, name): (usize, &&str)| at(0x9000 + index as u64 * 0x10, name, "src/names.rs", 1);
    case(
        "rust_names",
        vec![stack(names.iter().enumerate().map(location))],
        vec![row(1, 0)],
    )
}

fn line_breaks() -> Case {
    let stack = stack([at(0x9000, "a\n\ngoroutine 5 [x]:", "b\r\n\tc", 1)]);
    let goroutine = Goroutine {
        name: Some("d\ne"),
        labels: &[("j]\n", "k}:\n")],
        reason: "f\n[g]:",
        notes: &["h\ni"],
        site: Some(2),
        ..row(1, 0)
    };
    case("line_breaks", vec![stack], vec![goroutine])
}

fn mappings() -> Case {
    let mut case = case("mappings", vec![handler()], vec![row(1, 0)]);
    case.tables.stacks[0]
        .trunk
        .insert(0, at(0x2000_0010, "epoll_wait", "", 0));
    case.tables.mappings = vec![
        Mapping {
            start: 0x5555_0000_0000,
            limit: 0x5555_1000_0000,
            offset: 0x1000,
            file: "/nonexistent/app".into(),
            build_id: "deadbeef".into(),
        },
        Mapping {
            start: 0x5555_2000_0000,
            limit: 0x5555_2100_0000,
            offset: 0,
            file: "/nonexistent/libc.so.6".into(),
            build_id: String::new(),
        },
    ];
    case
}

fn other_scripts() -> Case {
    let stack = stack([
        at(0x9000, "größe::überprüfen", "src/größe.rs", 1),
        at(0x9010, "app::main", "src/main.rs", 1),
        at(
            0x9020,
            "app::a_name_that_is_longer_than_others",
            "src/main.rs",
            2,
        ),
    ]);
    case(
        "other_scripts",
        vec![stack],
        vec![Goroutine {
            name: Some("größe"),
            ..row(1, 0)
        }],
    )
}

fn case(name: &'static str, stacks: Vec<Stack>, rows: Vec<Goroutine<'static>>) -> Case {
    let sites = vec![
        Site {
            function: Some("app::serve::{{closure}}".into()),
            file: "src/serve.rs".into(),
            line: 42,
            column: 9,
            function_offset: Some(0x2a1),
        },
        Site {
            function: None,
            file: "src/main.rs".into(),
            line: 3,
            column: 5,
            function_offset: None,
        },
        Site {
            function: Some("(k)\nl".into()),
            file: "m\nn".into(),
            line: 1,
            column: 1,
            function_offset: None,
        },
    ];
    let tables = Tables {
        stacks,
        sites,
        mappings: vec![],
        time_ns: 1_700_000_000_000_000_000,
    };
    Case { name, tables, rows }
}

fn row(id: u64, stack: u32) -> Goroutine<'static> {
    Goroutine {
        id,
        parent: Some(1),
        state: State::Waiting,
        reason: "chan receive",
        since_ns: 12_345_678_901,
        polls: 17,
        busy_ns: 3_250_000,
        name: None,
        labels: &[],
        notes: &[],
        joins: &[],
        stack,
        site: Some(0),
    }
}

/// A usual stack: a leaf of tokio, an inlined function, and the task's own function.
fn handler() -> Stack {
    let mut query = (*at(0x1010, "app::db::query::{{closure}}", "src/db.rs", 88)).clone();
    query
        .frames
        .insert(0, frame("app::db::get_conn", "src/db.rs", 31));
    stack([
        at(
            0x1000,
            "tokio::sync::Semaphore::acquire",
            "/cargo/tokio/src/sync/semaphore.rs",
            611,
        ),
        Arc::new(query),
        at(
            0x1020,
            "app::serve::{{closure}}::{{closure}}",
            "src/serve.rs",
            47,
        ),
    ])
}

fn stack(trunk: impl IntoIterator<Item = Arc<Location>>) -> Stack {
    Stack {
        trunk: trunk.into_iter().collect(),
        ..Stack::default()
    }
}

fn waiting(locations: impl IntoIterator<Item = Arc<Location>>) -> Branch {
    Branch {
        kind: BranchKind::Waiting,
        locations: locations.into_iter().collect(),
    }
}

fn at(offset: u64, function: &str, file: &str, line: u32) -> Arc<Location> {
    Arc::new(Location {
        return_address: 0x5555_0000_0001 + offset,
        function_offset: Some(0x40 + offset % 0x100),
        frames: vec![frame(function, file, line)],
        hidden: false,
    })
}

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: function.into(),
        file: file.into(),
        line,
    }
}
