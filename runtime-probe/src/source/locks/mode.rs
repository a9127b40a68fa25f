//! The mode in which a lock is held: exclusive, or shared with other readers.

use super::held::{Exclusive, Shared};
use crate::registry::locks::SHARED;

/// A mode.
pub(crate) trait Mode {
    /// The bit in the packed holder.
    const BIT: u64;
}

/// Exclusive.
pub(crate) struct Sole;

/// Shared: others may read, too.
pub(crate) struct Reader;

impl Mode for Sole {
    const BIT: u64 = 0;
}

impl Mode for Reader {
    const BIT: u64 = SHARED;
}

/// A pointer to the value of a lock that is held in this mode.
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
