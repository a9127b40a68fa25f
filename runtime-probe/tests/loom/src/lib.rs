//! Every interleaving of the lock-free parts, within loom's bound on preemptions. `bash ci/loom.sh` runs it.
//!
//! The crate's statics need const constructors, which loom's atomics do not have. So this crate includes the files
//! under test by path, as its own modules, and `crate::primitive` gives them loom's types.

#![cfg(probe_loom)]
#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    reason = "files of another crate, of which the scenarios use a part"
)]
#![expect(unsafe_code, reason = "the parts under test have unsafe functions")]

#[path = "../../../src/primitive.rs"]
mod primitive;

/// Numbers of label sets, without the sets.
mod labels {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub(crate) struct LabelSet(u16);

    impl LabelSet {
        pub(crate) const NONE: LabelSet = LabelSet(0);

        pub(crate) fn number(self) -> u16 {
            self.0
        }

        pub(crate) fn of_number(number: u16) -> LabelSet {
            LabelSet(number)
        }
    }
}

mod clock {
    pub(crate) type Ticks = u64;
}

#[path = "../../../src/stack"]
mod stack {
    pub(crate) mod intern;
    pub(crate) mod word_lists;

    /// Stand-ins for the types that a record points to; the real ones are interned in statics.
    pub(crate) mod raw {
        #[derive(Debug)]
        pub(crate) struct FutureMeta;
    }

    pub(crate) mod wait_set {
        #[derive(Debug)]
        pub(crate) struct WaitSet(pub(crate) u64);

        pub(crate) type OnlyPath = WaitSet;

        impl WaitSet {
            pub(crate) const NO_WORD: *mut OnlyPath = std::ptr::null_mut();

            pub(crate) fn word(set: Option<&'static WaitSet>) -> *mut OnlyPath {
                set.map_or(WaitSet::NO_WORD, |set| std::ptr::from_ref(set).cast_mut())
            }

            /// # Safety
            /// `word` made it.
            pub(crate) unsafe fn of_word(word: *const OnlyPath) -> Option<&'static WaitSet> {
                // SAFETY: null, or of a reference.
                unsafe { word.as_ref() }
            }
        }
    }
}

#[path = "../../../src/registry"]
mod registry {
    pub(crate) mod births;
    pub(crate) mod sampled_blocks;
    pub(crate) mod shelf;
    pub(crate) mod task;
    mod versions;
    mod waiters;
    pub(crate) mod wake_slot;

    pub(crate) mod names {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) struct NameNumber(pub(crate) u32);
    }

    pub(crate) mod runtimes {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) struct RuntimeNumber(pub(crate) u16);
    }

    pub(crate) mod threads {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub(crate) struct ThreadNumber(pub(crate) u32);
    }

    /// Stand-ins for interned sites, by the address of the spawn.
    pub(crate) mod sites {
        use crate::stack::raw::FutureMeta;
        use std::panic::Location;

        #[derive(Debug)]
        pub(crate) struct Site {
            pub(crate) location: Option<&'static Location<'static>>,
            pub(crate) pc: usize,
            pub(crate) meta: Option<&'static FutureMeta>,
        }

        impl Site {
            const fn of(pc: usize) -> Site {
                Site {
                    location: None,
                    pc,
                    meta: None,
                }
            }

            pub(crate) const NOWHERE: &'static Site = &SITES[0];
        }

        pub(crate) static SITES: [Site; 3] = [Site::of(0), Site::of(1), Site::of(2)];
    }

    pub(crate) use waiters::WaiterSlot;

    /// What a thread needs for its waits.
    pub(crate) struct WaiterEntries(&'static shelf::Shelf<WaiterSlot>, waiters::Spares);

    impl WaiterEntries {
        pub(crate) fn new(shelf: &'static shelf::Shelf<WaiterSlot>) -> Self {
            let spares = waiters::Spares::closed();
            spares.open();
            WaiterEntries(shelf, spares)
        }

        /// Begins a wait of this number.
        pub(crate) fn begin(&self, wait: u64) -> &'static WaiterSlot {
            let slot = self.1.take(self.0).expect("a slot of the shelf");
            let (who, poll) = (wait * 8, 0);
            let polled = waiters::Polled {
                who,
                poll,
                waits: None,
            };
            let begin = waiters::Begin {
                since: wait,
                counted: 0,
                wanted: 0,
            };
            slot.begin(waiters::LockKey(wait), begin, polled);
            slot
        }

        pub(crate) fn end(&self, slot: &'static WaiterSlot) {
            slot.end();
            if !self.1.push(slot) {
                waiters::give_back(self.0, slot);
            }
        }
    }

    /// The words of each copy: (lock, since, who, poll).
    pub(crate) fn copies(shelf: &'static shelf::Shelf<WaiterSlot>) -> Vec<(u64, u64, u64, u64)> {
        let copies = shelf.slots().filter_map(|(_, slot)| slot.copy());
        let words = copies.map(|copy| (copy.lock.0, copy.since, copy.who, copy.poll));
        words.collect()
    }

    use crate::labels::LabelSet;
    use sites::{SITES, Site};
    use task::{Dropped, Kind, Opened, Record, Spawn};

    /// A free record, as the slab has them.
    pub(crate) fn free() -> Record {
        Record::free()
    }

    pub(crate) fn open(record: &Record, kind: Kind, id: u64, spawn: Option<Spawn>, now: u64) {
        let opened = Opened {
            site: spawn.map_or(Site::NOWHERE, |spawn| &SITES[spawn.pc]),
            parent: spawn.map_or(0, |spawn| spawn.parent),
        };
        let labels = LabelSet::of_number(spawn.map_or(0, |spawn| spawn.pc as u16));
        record.open(kind, id, opened, now, || labels);
    }

    pub(crate) fn retain_for(record: &Record, view: &task::View) -> bool {
        record.retain_for(view)
    }

    loom::lazy_static! {
        static ref BEHIND: loom::sync::Mutex<()> = loom::sync::Mutex::new(());
    }

    /// Drops a reference that is not the wrapper's. `true` if the record ended with it.
    pub(crate) fn leave(record: &Record) -> bool {
        match record.leave() {
            Dropped::Done => false,
            Dropped::Last => shut(record),
            Dropped::MaybeLate => drop_behind(record),
        }
    }

    /// Drops the wrapper's reference. `true` if the record ended with it.
    pub(crate) fn end(record: &Record) -> bool {
        record.end() && shut(record)
    }

    /// Drops a reference that was left behind, if there is one. `true` if the record ended with it.
    pub(crate) fn drop_behind(record: &Record) -> bool {
        let is_taken = match BEHIND.try_lock() {
            Ok(_one) => record.take_behind(),
            Err(_) => false,
        };
        is_taken && record.release() && shut(record)
    }

    fn shut(record: &Record) -> bool {
        record.shut();
        true
    }
}

#[path = "../../../src/events"]
mod events {
    pub(crate) mod chunks;
    pub(crate) mod ring;
}

mod births;
mod chunks;
mod counting_waker;
mod intern;
mod record;
mod ring;
mod sampled_blocks;
mod shelf_slots;
mod waiter_entries;
mod wake_slot;
mod word_lists;
