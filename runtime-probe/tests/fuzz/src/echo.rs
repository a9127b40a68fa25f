//! A stub of a program for the HTTP layer: its profiles only echo the parameters of the request.
//!
//! So an answer shows how a request was understood, two spellings of one request can be compared, and an answer takes
//! a microsecond. The target `pages` tests profiles of a real program.

use crate::profile::selection::Selection;
use crate::symbol::name::Names;
use condensed::Crates;
use proto::Profile;
use std::io::{self, Write};
use std::time::Duration;

/// A profile that echoes its parameters. Compressing it would take as long as twenty requests.
pub mod proto {
    #[derive(Clone, Debug, Default)]
    pub struct Profile {
        pub asked: String,
        pub sample_type: Vec<ValueType>,
        pub default_sample_type: i64,
    }

    #[derive(Clone, Debug, Default)]
    pub struct ValueType {
        pub r#type: i64,
    }

    impl Profile {
        pub fn to_gzip(&self) -> Vec<u8> {
            self.asked.clone().into()
        }
    }
}

pub mod folded {
    pub fn fold(profile: &super::Profile, _: usize) -> String {
        format!("# folded {}\n", profile.asked)
    }
}

fn profile(asked: String) -> Profile {
    Profile {
        asked,
        ..Profile::default()
    }
}

pub(crate) mod goroutine {
    use super::*;

    pub(crate) const NAME: &str = "goroutine";

    pub(crate) struct Goroutines(Selection);

    impl Goroutines {
        pub(crate) fn collect(selection: Selection) -> Self {
            Goroutines(selection)
        }

        pub(crate) fn name(&self) -> &'static str {
            NAME
        }

        pub(crate) fn write_text(
            &self,
            mut out: impl Write,
            lines: goroutine_forms::Lines,
        ) -> io::Result<()> {
            writeln!(out, "# {lines:?} of {:?}", self.0)
        }

        pub(crate) fn write_groups(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# groups of {:?}", self.0)
        }

        pub(crate) fn write_count_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# counts of {:?}", self.0)
        }

        pub(crate) fn write_samples(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# samples of {:?}", self.0)
        }

        pub(crate) fn write_json(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# json of {:?}", self.0)
        }

        pub(crate) fn profile(&self) -> Profile {
            profile(format!("{:?}", self.0))
        }

        pub(crate) fn shown_profile(&self) -> Profile {
            self.profile()
        }

        pub(crate) fn counts(&self) -> Profile {
            self.profile()
        }

        pub(crate) fn since(&self, before: &Profile, _: Duration) -> Change {
            Change(before.clone())
        }

        pub(crate) fn change_profile(&self, change: &Change) -> Profile {
            change.0.clone()
        }

        pub(crate) fn write_change(change: &Change, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# change of {}", change.0.asked)
        }
    }

    /// A difference; keeps the profile from before.
    pub(crate) struct Change(Profile);

    impl Change {
        pub(crate) fn shown(&self) -> Change {
            Change(self.0.clone())
        }
    }
}

pub(crate) mod goroutine_forms {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Lines {
        All,
        Plain,
    }
}

pub(crate) mod contended {
    use super::*;

    pub(crate) struct Contended(pub(super) String);

    impl Contended {
        pub(crate) fn profile(&self) -> Profile {
            profile(self.0.clone())
        }

        pub(crate) fn since(self, _: &Contended, _: Duration) -> Contended {
            self
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# {}", self.0)
        }
    }
}

pub(crate) mod block {
    use super::Crates;
    use super::contended::Contended;

    pub(crate) const NAME: &str = "block";

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Included {
        pub(crate) sleep: bool,
        pub(crate) io: bool,
        pub(crate) ongoing: bool,
    }

    pub(crate) fn count() -> usize {
        0
    }

    pub(crate) fn collect(included: Included, crates: &Crates) -> Contended {
        Contended(format!("{included:?} {crates:?}"))
    }
}

pub(crate) mod mutex {
    use super::Crates;
    use super::contended::Contended;

    pub(crate) const NAME: &str = "mutex";

    pub(crate) fn count() -> usize {
        0
    }

    pub(crate) fn collect(ongoing: bool, crates: &Crates) -> Contended {
        Contended(format!("releases, ongoing {ongoing} {crates:?}"))
    }
}

pub(crate) mod leaks {
    use super::conditions::Condition;
    use crate::profile::selection::Leaks;

    pub(crate) const NAME: &str = "goroutineleak";

    pub(crate) fn count_with(_: &[Condition]) -> usize {
        0
    }

    pub(crate) fn leaks(debug: u32) -> Leaks {
        match debug {
            2 => Leaks::Marked,
            _ => Leaks::Only,
        }
    }
}

pub(crate) mod lock_table {
    use super::conditions::Condition;
    use std::io::{self, Write};

    pub(crate) struct LockTable;

    pub(crate) fn count() -> usize {
        0
    }

    pub(crate) fn deadlocks(_: &[Condition]) -> usize {
        0
    }

    impl LockTable {
        pub(crate) fn collect() -> LockTable {
            LockTable
        }

        pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
            out.write_all(b"locks")
        }

        pub(crate) fn json(&self) -> String {
            "{}".to_owned()
        }

        pub(crate) fn write_deadlocks(self, out: &mut dyn Write) -> io::Result<()> {
            out.write_all(b"deadlocks")
        }
    }
}

pub(crate) mod demand {
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Demand {
        Waits,
        Releases,
        TaskTimes,
    }

    pub(crate) struct Lease;

    impl Lease {
        pub(crate) fn take(_: Demand, rate: i64) -> Self {
            assert!(rate > 0, "{rate}");
            Lease
        }

        pub(crate) fn of_all(demand: Demand) -> Self {
            Lease::take(demand, 1)
        }
    }

    impl Drop for Lease {
        fn drop(&mut self) {}
    }
}

pub(crate) mod condensed {
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Crates(String);

    impl Crates {
        pub(crate) fn named(list: &str) -> Option<Self> {
            (!list.is_empty()).then(|| Crates(list.to_owned()))
        }
    }
}

pub(crate) mod sites {
    use super::*;

    pub(crate) struct SpawnSites;

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) enum SortBy {
        #[default]
        Alive,
        Polls,
        Busy,
        Waits,
        Heap,
    }

    impl SortBy {
        pub(crate) fn named(word: &str) -> Option<Self> {
            [
                ("alive", SortBy::Alive),
                ("polls", SortBy::Polls),
                ("busy", SortBy::Busy),
                ("waits", SortBy::Waits),
                ("heap", SortBy::Heap),
            ]
            .into_iter()
            .find_map(|(name, by)| (name == word).then_some(by))
        }

        pub(crate) fn needs_times(self) -> bool {
            false
        }
    }

    impl SpawnSites {
        pub(crate) fn is_timed(&self) -> bool {
            true
        }

        pub(crate) fn no_bytes(&self) -> Option<&'static str> {
            None
        }

        pub(crate) fn sorted_by(self, _: SortBy) -> Self {
            self
        }

        pub(crate) fn collect() -> Self {
            SpawnSites
        }

        pub(crate) fn delta(&self, _: &SpawnSites, _: Duration) -> SpawnSites {
            SpawnSites
        }

        pub(crate) fn json(&self) -> String {
            "[]".to_owned()
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# sites")
        }
    }
}

pub(crate) mod cpu {
    use super::*;

    pub(crate) const NAME: &str = "profile";
    pub(crate) const HZ: u32 = 100;

    pub(crate) struct Cpu;

    impl Cpu {
        pub(crate) fn new((): &(), _: &Crates) -> Self {
            Cpu
        }

        pub(crate) fn profile(&self) -> Profile {
            profile("samples".to_owned())
        }

        pub(crate) fn shown_profile(&self) -> Profile {
            self.profile()
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# samples")
        }
    }
}

pub(crate) mod heap {
    use super::*;
    use std::time::Duration;

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct SplitBy {
        pub(crate) task: bool,
        pub(crate) age: bool,
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Shows {
        InUse,
        Allocated,
    }

    impl Shows {
        pub(crate) const fn name(self) -> &'static str {
            match self {
                Shows::InUse => "heap",
                Shows::Allocated => "allocs",
            }
        }
    }

    pub(crate) fn count() -> usize {
        0
    }

    pub(crate) fn unavailable() -> Option<&'static str> {
        None
    }

    pub(crate) fn give_back() -> String {
        "given back".to_owned()
    }

    pub(crate) struct Allocations(String);

    impl Allocations {
        pub(crate) fn collect(shows: Shows, split_by: SplitBy, crates: &Crates) -> Self {
            Allocations(format!("{shows:?} {split_by:?} {crates:?}"))
        }

        pub(crate) fn since(self, before: &Allocations, span: Duration) -> Self {
            Allocations(format!("{} since {} {span:?}", self.0, before.0))
        }

        pub(crate) fn comment(&mut self, text: String) {
            self.0.push_str(&text);
        }

        pub(crate) fn profile(&self) -> Profile {
            profile(self.0.clone())
        }

        pub(crate) fn shown_profile(&self) -> Profile {
            self.profile()
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# {}", self.0)
        }
    }
}

pub(crate) mod sampling {
    use std::convert::Infallible;
    use std::time::Duration;

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct SplitBy {
        pub(crate) task: bool,
        pub(crate) thread: bool,
    }

    pub(crate) struct Watch;

    impl Watch {
        pub(crate) fn start(period: Duration, _: SplitBy) -> Result<Watch, Infallible> {
            let second = Duration::from_secs(1);
            assert!((second / 1000..=second).contains(&period), "{period:?}");
            Ok(Watch)
        }

        pub(crate) fn stop(self) -> Option<()> {
            Some(())
        }
    }
}

pub(crate) mod threads {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Shown {
        Now,
        Creation,
    }

    impl Shown {
        pub(crate) fn name(self) -> &'static str {
            match self {
                Shown::Now => "threads",
                Shown::Creation => "threadcreate",
            }
        }
    }

    pub(crate) struct ThreadProfile(Shown, Names);

    impl ThreadProfile {
        pub(crate) fn collect(shown: Shown, names: Names, _: &Crates) -> Self {
            ThreadProfile(shown, names)
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# {:?} of {:?}", self.1, self.0)
        }

        pub(crate) fn write_count_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# counts: {:?} of {:?}", self.1, self.0)
        }

        pub(crate) fn json(&self) -> Vec<u8> {
            format!("# json: {:?} of {:?}", self.1, self.0).into()
        }

        pub(crate) fn profile(&self) -> Profile {
            profile(format!("{:?} of {:?}", self.1, self.0))
        }

        pub(crate) fn shown_profile(&self) -> Profile {
            self.profile()
        }
    }
}

/// A profile of the program's own.
pub(crate) mod custom {
    use super::*;

    const NAME: &str = "connections";

    pub(crate) fn find(name: &str) -> Option<&'static str> {
        (name == NAME).then_some(NAME)
    }

    pub(crate) fn counts() -> Vec<(&'static str, usize)> {
        vec![(NAME, 1)]
    }

    pub(crate) struct Custom(String);

    impl Custom {
        pub(crate) fn collect(name: &str, crates: &Crates) -> Self {
            Custom(format!("{name} {crates:?}"))
        }

        pub(crate) fn profile(&self) -> Profile {
            profile(self.0.clone())
        }

        pub(crate) fn shown_profile(&self) -> Profile {
            self.profile()
        }

        pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
            writeln!(out, "# counts of {}", self.0)
        }
    }
}

pub(crate) mod vars {
    pub(crate) fn document() -> Vec<u8> {
        b"{}".to_vec()
    }
}

pub(crate) mod diagnosis {
    pub(crate) const OFF: &str = "off";

    pub(crate) struct Diagnosis;

    impl Diagnosis {
        pub(crate) fn now() -> Self {
            Diagnosis
        }

        pub(crate) fn lines(&self) -> Vec<String> {
            vec!["<nothing> & none".to_owned()]
        }
    }
}

pub(crate) mod conditions {
    pub(crate) struct Condition;

    impl Condition {
        pub(crate) fn text(&self) -> String {
            "<nothing> & none".to_owned()
        }
    }

    pub(crate) fn now() -> Vec<Condition> {
        vec![Condition]
    }
}

pub(crate) mod tasks {
    pub(crate) fn count() -> usize {
        0
    }
}

pub(crate) mod thread_count {
    pub(crate) fn count() -> usize {
        1
    }
}

pub(crate) mod address_names {
    use std::io;

    /// One name for each kind that answers treat differently, and none for odd addresses.
    pub(crate) fn names(
        addresses: &[u64],
        mut tell: impl FnMut(u64, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let even = addresses.iter().filter(|address| *address % 2 == 0);
        for address in even {
            match address % 4 {
                0 => tell(*address, &format!("<T{address} as Trait>::f"))?,
                _ => tell(*address, &format!("f{address}"))?,
            }
        }
        Ok(())
    }
}

pub(crate) mod flight {
    pub(crate) struct Past;

    pub(crate) fn past() -> Option<Past> {
        Some(Past)
    }
}

pub(crate) mod trace {
    use super::*;

    pub(crate) const MOST_EVENTS: usize = 1;

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Format {
        Go,
        Perfetto,
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Labels {
        Shown,
        LeftOut,
    }

    pub(crate) struct Stream<W>(W);

    impl<W: Write> Stream<W> {
        pub(crate) fn begin(_: Format, _: Labels, out: W) -> io::Result<Self> {
            Ok(Stream(out))
        }

        pub(crate) fn collect(&mut self) -> usize {
            0
        }

        pub(crate) fn write(&mut self, is_last: bool) -> io::Result<()> {
            writeln!(self.0, "# trace {is_last}")
        }
    }

    pub(crate) fn write_past(
        _: &flight::Past,
        _: Format,
        _: Labels,
        mut out: impl Write,
    ) -> io::Result<()> {
        out.write_all(b"past")
    }
}
