//! Profiles of the program's own.

use std::sync::OnceLock;

use runtime_dump::profile::proto::Profile as Proto;
use runtime_probe as tokio;
use runtime_probe::pprof::{self, Profile};

use crate::burning::alone;
use crate::client::get;
use crate::{go_pprof, page, server};
use runtime_dump_testing::go::Go;

#[inline(never)]
fn opens_in_a_thread(profile: Profile, socket: u64) -> bool {
    profile.add(socket)
}

#[inline(never)]
async fn opens_in_a_task(profile: Profile, socket: u64) -> bool {
    tokio::task::yield_now().await;
    profile.add(socket)
}

/// A profile with two values that a thread added and one that a task added.
fn connections() -> Profile {
    static PROFILE: OnceLock<Profile> = OnceLock::new();
    *PROFILE.get_or_init(|| {
        let profile = Profile::new("connections").unwrap();
        for socket in [1, 2, 3] {
            assert!(opens_in_a_thread(profile, socket));
        }
        assert!(!opens_in_a_thread(profile, 1), "it is there already");
        let task = opens_in_a_task(profile, 4);
        let runtime = crate::runtime();
        assert!(runtime.block_on(async { tokio::spawn(task).await.unwrap() }));
        assert!(profile.remove(3));
        assert!(!profile.remove(3), "it is there no more");
        profile
    })
}

#[test]
fn values_are_counted_by_the_stack_that_added_them() {
    let _alone = alone();
    let profile = connections();
    assert_eq!((profile.name(), profile.count()), ("connections", 3));
    let text = page("connections?debug=1");
    assert!(
        text.starts_with("connections profile: total 3\n2 @ 0x"),
        "{text}"
    );
    let (two, one) = text.split_once("\n1 @ 0x").unwrap();
    let first = |group: &str| {
        group
            .lines()
            .find(|line| line.starts_with("#\t"))
            .unwrap()
            .to_owned()
    };
    assert!(first(two).contains("::opens_in_a_thread+0x"), "{text}");
    assert!(first(one).contains("::opens_in_a_task"), "{text}");
    // A task's stack ends at the task, a thread's at the thread's first function.
    assert!(
        two.contains("values_are_counted") || two.contains("__rust_begin_short_backtrace"),
        "{text}"
    );
    assert!(!one.contains("poll_future"), "{text}");
    let mut written = Vec::new();
    let found = pprof::lookup("connections").unwrap();
    found.write_to(&mut written, 1).unwrap();
    assert!(
        String::from_utf8(written)
            .unwrap()
            .starts_with("connections profile: total 3\n")
    );
    assert!(found.write_to(std::io::sink(), 2).is_err());
    assert!(pprof::profiles().any(|profile| profile.name() == "connections"));
    let index = page("");
    assert!(
        index.contains("<tr><td>3</td><td><a href='connections?debug=1'>connections</a>"),
        "{index}"
    );
    let binary = get(server(), "/debug/pprof/connections");
    let binary = Proto::decode(&binary.body).unwrap();
    assert_eq!(
        binary
            .sample
            .iter()
            .map(|sample| sample.value[0])
            .sum::<i64>(),
        3
    );
    assert!(page("connections?format=folded").contains("opens_in_a_thread 2\n"));
    for refused in ["connections?debug=2", "connections?seconds=1"] {
        assert_eq!(
            get(server(), &format!("/debug/pprof/{refused}")).status,
            400
        );
    }
    let Some(go) = Go::find("custom_profile") else {
        return;
    };
    for path in ["connections", "connections?debug=1"] {
        let top = go_pprof(&go, &["-top"], path);
        assert!(top.contains("Type: connections\n"), "{top}");
        let line = top
            .lines()
            .find(|line| line.ends_with("::opens_in_a_thread"));
        assert!(line.unwrap().trim_start().starts_with("2 "), "{top}");
    }
}

#[test]
fn a_name_is_given_once() {
    for (name, why) in [
        ("goroutine", "already"),
        ("symbol", "already"),
        ("heap", "already"),
        ("", "1 to 64"),
        ("a/b", "1 to 64"),
        ("a b", "1 to 64"),
    ] {
        let error = Profile::new(name).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }
    assert!(Profile::new("given.once").is_ok());
    assert!(Profile::new("given.once").is_err());
    let built_in = pprof::lookup("goroutine").unwrap();
    assert!(!built_in.add(7) && !built_in.remove(7));
}
