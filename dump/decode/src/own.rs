//! The memory and the types of the test program itself, for tests.

use crate::Memory;
use crate::debug::index::{Die, Index, Sections};
use crate::debug::types::Types;
use crate::mapped::Mapped;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Waker};

/// The memory.
pub(crate) struct Own(File);

impl Own {
    pub(crate) fn open() -> Self {
        Self(File::open("/proc/self/mem").unwrap())
    }
}

impl Memory for Own {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.0.read_exact_at(into, address).is_ok()
    }
}

/// Passes the types, and the offset that was added to the program's addresses at load time.
pub(crate) fn with_types(test: impl FnOnce(&Types<'_, '_>, u64)) {
    let path = std::env::current_exe().unwrap();
    let file = Mapped::open(&path).unwrap();
    let sections = Sections::read((&file, &path), None).unwrap();
    let index = Index::build_without_tokio(&sections, &path, usize::MAX).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let program = maps
        .lines()
        .find(|line| line.ends_with(path.to_str().unwrap()));
    let (start, _) = program.unwrap().split_once('-').unwrap();
    test(&Types::new(&index), u64::from_str_radix(start, 16).unwrap());
}

/// The type of the async function of this name.
pub(crate) fn future_of(types: &Types<'_, '_>, function: &str) -> Die {
    let function = format!("::{function}::");
    let mut bodies = types
        .index
        .named(|name| name.starts_with(b"{async_fn_env#"));
    bodies
        .find(|die| types.get(*die).path.contains(&function))
        .unwrap()
}

/// The addresses where a value begins and ends.
pub(crate) fn bounds_of<T: ?Sized>(value: &T) -> (u64, u64) {
    let low = std::ptr::from_ref(value).cast::<u8>().addr() as u64;
    (low, low + size_of_val(value) as u64)
}

/// Polls a future that waits.
pub(crate) fn poll(future: Pin<&mut dyn Future<Output = ()>>) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.poll(&mut context).is_pending());
}
