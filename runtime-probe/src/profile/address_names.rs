//! Names for the addresses of a text profile. `go tool pprof` reads only the addresses of such a text, and asks for
//! their names afterwards.
//!
//! An address of code is looked up again. A synthetic address (`select`, a task without a stack, part of a chain of
//! inlined functions) has a name only in the text that it was made for. So these names are remembered, up to a bound.

use crate::primitive;
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role;
use runtime_dump::stack::{Location, SYNTHETIC_BASE};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

/// The most synthetic addresses that are remembered. A program has some hundred. Names are shared with the resolver, so
/// this many take 16,384 * 24 bytes at a load of one half: less than 1 MiB.
const MOST: usize = 16_384;

/// By return address, as in the texts.
static SYNTHETIC: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);

/// Remembers the names of a text's synthetic locations.
pub(crate) fn remember<'l>(locations: impl Iterator<Item = &'l Location>) {
    let mut names = primitive::lock(&SYNTHETIC);
    for location in locations {
        names.remember(location);
    }
}

/// Addresses that are looked up with the resolver locked. One takes 20 to 100 us, so a dump waits at most 26 ms for it.
/// All addresses of the largest request take 6 s.
const BATCH: usize = 256;

/// How long the resolver is unlocked between two batches. Without a pause, waiting threads would seldom get the lock.
const PAUSE: Duration = Duration::from_millis(1);

/// Visits the addresses that have a name, in the given order. As in Go, any address inside a function will do. If
/// several inlined functions share an address, the name is that of the outermost one that texts show.
///
/// # Errors
/// The first error of `tell`, which ends the look-up.
pub(crate) fn names(
    addresses: &[u64],
    tell: impl FnMut(u64, &str) -> io::Result<()>,
) -> io::Result<()> {
    names_in_batches(addresses, || thread::sleep(PAUSE), tell)
}

fn names_in_batches(
    addresses: &[u64],
    pause: impl Fn(),
    mut tell: impl FnMut(u64, &str) -> io::Result<()>,
) -> io::Result<()> {
    for (batch, addresses) in addresses.chunks(BATCH).enumerate() {
        if batch > 0 {
            pause();
        }
        for (address, name) in named(addresses) {
            tell(address, &name)?;
        }
    }
    Ok(())
}

/// Looks up a batch, with both locks held.
fn named(addresses: &[u64]) -> Vec<(u64, Arc<str>)> {
    let synthetic = primitive::lock(&SYNTHETIC);
    let mut resolver = resolver();
    addresses
        .iter()
        .filter_map(|address| Some((*address, name(*address, &synthetic, &mut resolver)?)))
        .collect()
}

fn name(address: u64, synthetic: &Names, resolver: &mut Resolver) -> Option<Arc<str>> {
    if address >= SYNTHETIC_BASE {
        return synthetic.get(address);
    }
    // The result is not cached, because clients choose the addresses.
    let code = resolver.code_once(address);
    let mut outwards = code.frames.iter().rev().map(|frame| &frame.function);
    let shown = outwards
        .clone()
        .find(|function| !role::is_scaffolding(function));
    shown.or_else(|| outwards.next()).cloned()
}

#[derive(Default)]
struct Names(HashMap<u64, Arc<str>>);

impl Names {
    fn remember(&mut self, location: &Location) {
        let Some(frame) = location.frames.last() else {
            return;
        };
        if location.return_address < SYNTHETIC_BASE {
            return;
        }
        // When full, all old names are dropped: later texts matter more.
        if self.0.len() >= MOST && !self.0.contains_key(&location.return_address) {
            self.0.clear();
        }
        self.0
            .insert(location.return_address, frame.function.clone());
    }

    /// pprof asks for the address of the call: one less than the return address in the text.
    fn get(&self, address: u64) -> Option<Arc<str>> {
        let of_call = address
            .checked_add(1)
            .and_then(|address| self.0.get(&address));
        of_call.or_else(|| self.0.get(&address)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_dump::stack::Frame;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    fn location(return_address: u64) -> Location {
        let frame = Frame {
            function: format!("f{return_address:x}").into(),
            file: "".into(),
            line: 0,
        };
        Location {
            return_address,
            function_offset: None,
            frames: vec![frame],
            hidden: false,
        }
    }

    #[test]
    fn a_synthetic_address_is_found_by_itself_and_by_its_call() {
        let mut names = Names::default();
        let address = SYNTHETIC_BASE + 0x10;
        names.remember(&location(address));
        let name = format!("f{address:x}");
        assert_eq!(names.get(address).as_deref(), Some(&*name));
        assert_eq!(names.get(address - 1).as_deref(), Some(&*name));
        assert_eq!(names.get(address + 1), None);
        assert_eq!(names.get(u64::MAX), None);
    }

    #[test]
    fn others_have_it_in_between_and_nothing_is_left_out() {
        let here = named as *const () as u64 + 1;
        let batches = AtomicUsize::new(0);
        let pause = || {
            batches.fetch_add(1, Ordering::Relaxed);
            let (sender, receiver) = channel();
            thread::spawn(move || {
                drop((SYNTHETIC.lock(), resolver()));
                sender.send(())
            });
            let had = receiver.recv_timeout(Duration::from_secs(60));
            had.expect("both locks are free");
        };
        let mut found = 0;
        names_in_batches(&[here; 2 * BATCH + 1], pause, |address, name| {
            let own = "runtime_probe::profile::address_names::named";
            assert_eq!((address, name), (here, own));
            found += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((batches.into_inner(), found), (2, 2 * BATCH + 1));
    }

    #[test]
    fn nothing_is_looked_up_for_who_is_gone() {
        let here = named as *const () as u64 + 1;
        let gone = |_: u64, _: &str| Err(io::ErrorKind::BrokenPipe.into());
        let told = names_in_batches(&[here; 2 * BATCH], || panic!("a second batch"), gone);
        assert!(told.is_err());
    }

    #[test]
    fn what_is_asked_for_is_not_remembered() {
        let here = what_is_asked_for_is_not_remembered as *const () as u64;
        let addresses: Vec<u64> = (here..here + 8).collect();
        names(&addresses, |_, _| Ok(())).unwrap();
        let resolver = resolver();
        assert!(!addresses.iter().any(|address| resolver.remembers(*address)));
    }

    #[test]
    fn code_is_not_remembered_and_the_rest_is_bounded() {
        let mut names = Names::default();
        names.remember(&location(0x1000));
        assert!(names.0.is_empty());
        for number in 0..3 * MOST as u64 {
            names.remember(&location(SYNTHETIC_BASE + 1 + number));
            assert!(names.0.len() <= MOST);
        }
        let newest = SYNTHETIC_BASE + 3 * MOST as u64;
        assert!(names.get(newest).is_some());
    }
}
