//! Code that the tests of the block profile and of the mutex profile share.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use super::client::get;
use runtime_dump::profile::proto::{Profile, Sample};
use runtime_dump_testing::go::Go;
use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};

pub fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// The server of the test's process.
pub fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        let address = serving.local_addr().unwrap();
        serving.detach();
        address
    })
}

/// The server's answer below `/debug/pprof/`.
pub fn profile(path: &str) -> Profile {
    let answer = get(server(), &format!("/debug/pprof/{path}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Profile::decode(&answer.body).unwrap()
}

/// The samples whose stack has a function of that name: contentions and delay by reason, "" for none.
pub fn samples(profile: &Profile, function: &str) -> BTreeMap<String, (i64, Duration)> {
    let in_stack = |sample: &&Sample| {
        let mut names = sample.location_id.iter().flat_map(|id| {
            let location = &profile.location[*id as usize - 1];
            location.line.iter().map(|line| {
                let function = &profile.function[line.function_id as usize - 1];
                profile.string(function.name)
            })
        });
        names.any(|name| name.ends_with(function))
    };
    let mut found: BTreeMap<String, (i64, Duration)> = BTreeMap::new();
    for sample in profile.sample.iter().filter(in_stack) {
        let reason = sample.label.first().map_or("", |label| {
            assert_eq!(profile.string(label.key), "reason");
            profile.string(label.str)
        });
        let sum = found.entry(reason.to_owned()).or_default();
        sum.0 += sample.value[0];
        sum.1 += Duration::from_nanos(sample.value[1] as u64);
    }
    found
}

/// How many tasks wait in the function now, for that reason.
pub fn waiting_in(function: &str, reason: &str) -> usize {
    let mut text = Vec::new();
    let goroutines = pprof::lookup("goroutine").unwrap();
    goroutines.write_to(&mut text, 2).unwrap();
    let text = String::from_utf8(text).unwrap();
    let reason = format!("[{reason}]:");
    let waits = |block: &&str| block.contains(&reason) && block.contains(function);
    text.split("\n\n").filter(waits).count()
}

/// The contentions and nanoseconds of a page in all, as `go tool pprof` reads it.
pub fn totals(go: &Go, path: &str) -> (i64, i64) {
    let url = format!("http://{}/debug/pprof/{path}", server());
    let output = go.output(["tool", "pprof", "-raw", &url].map(OsStr::new));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{path}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let header = "contentions/count delay/nanoseconds";
    assert!(text.contains(header), "{text}");
    let values = text
        .lines()
        .skip_while(|line| !line.starts_with("contentions/count"))
        .skip(1)
        .take_while(|line| !line.starts_with("Locations"))
        .filter_map(|line| {
            let (values, _) = line.split_once(':')?;
            let mut values = values.split_whitespace().map(str::parse::<i64>);
            Some((values.next()?.ok()?, values.next()?.ok()?))
        });
    values.fold((0, 0), |(count, delay), (more, longer)| {
        (count + more, delay + longer)
    })
}
