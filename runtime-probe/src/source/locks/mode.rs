//! In which mode a lock is held: alone, or beside other readers.

use super::held::{Exclusive, Shared};
use crate::registry::locks::SHARED;

/// A mode.
pub(crate) trait Mode {
    /// Beside the holder's number.
    const BIT: u64;
}

/// Nothing else has the lock.
pub(crate) struct Sole;

/// Others may read, too.
pub(crate) struct Reader;

impl Mode for Sole {
    const BIT: u64 = 0;
}

impl Mode for Reader {
    const BIT: u64 = SHARED;
}

/// A pointer to a value behind a lock, which is held in that mode.
pub(crate) trait Access {
    type Mode: Mode;
}

impl<U: ?Sized> Access for Exclusive<U> {
    type Mode = Sole;
}

impl<U: ?Sized> Access for Shared<U> {
    type Mode = Reader;
}

impl<T: ?Sized> Access for std::sync::MutexGuard<'_, T> {
    type Mode = Sole;
}

impl<T: ?Sized> Access for std::sync::RwLockWriteGuard<'_, T> {
    type Mode = Sole;
}

impl<T: ?Sized> Access for std::sync::RwLockReadGuard<'_, T> {
    type Mode = Reader;
}
