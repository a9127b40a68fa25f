//! The mode in which a lock is held: exclusive, or shared with other readers; by a guard that borrows the lock, or by one
//! that owns it.

use super::held::{Exclusive, Shared};
use crate::registry::locks::{MOVABLE, SHARED};
use std::marker::PhantomData;
use std::sync::Arc;

/// A mode.
pub(crate) trait Mode {
    /// The bits in the packed holder.
    const BITS: u64;
}

/// Exclusive.
pub(crate) struct Sole;

/// Shared: others may read, too.
pub(crate) struct Reader;

/// The same by a guard that owns the lock, so another task or thread may have the guard by now.
pub(crate) struct Owned<M>(PhantomData<M>);

impl Mode for Sole {
    const BITS: u64 = 0;
}

impl Mode for Reader {
    const BITS: u64 = SHARED;
}

impl<M: Mode> Mode for Owned<M> {
    const BITS: u64 = M::BITS | MOVABLE;
}

/// What a guard keeps alive: nothing, or the lock that it owns.
pub(crate) trait Keeper {
    /// The mode of a guard with this keeper.
    type Of<M: Mode>: Mode;
}

impl Keeper for () {
    type Of<M: Mode> = M;
}

impl<L: ?Sized> Keeper for Arc<L> {
    type Of<M: Mode> = Owned<M>;
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
