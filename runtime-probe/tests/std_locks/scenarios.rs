// Observable behaviour of a lock that blocks its thread, as rows of a name and a result. Included twice: with std's
// `Mutex`, `RwLock` and guards in scope, and with ours.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// A name, and a function that returns the result.
type Scenario = (&'static str, fn() -> String);

pub const SCENARIOS: &[Scenario] = &[
    ("a lock and its value", || {
        let lock = Mutex::new(1);
        *lock.lock().unwrap() += 1;
        let shown = format!("{lock:?}, {:?}", lock.try_lock());
        format!("{shown}, {:?}", lock.into_inner())
    }),
    ("from a value, and by default", || {
        format!("{:?}, {:?}", Mutex::from(3), Mutex::<u8>::default())
    }),
    ("a guard shows its value", || {
        let lock = Mutex::new(1);
        let guard = lock.lock().unwrap();
        format!("{guard:?} {guard}")
    }),
    ("a locked one", || {
        let lock = Mutex::new(1);
        let _guard = lock.lock();
        let refused = lock.try_lock().err().unwrap();
        format!("{lock:?}: {refused:?}, {refused}, {}", lock.is_poisoned())
    }),
    ("a forgotten guard", || {
        let lock = Mutex::new(1);
        std::mem::forget(lock.lock());
        let tried = format!("{:?}", lock.try_lock());
        format!("{tried}, {:?}", lock.into_inner())
    }),
    ("a panic poisons", || {
        let mut lock = poisoned(1);
        let error = lock.lock().err().unwrap();
        let told = format!("{error:?}, {error}, {}", *error.get_ref());
        drop(error);
        *lock.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let tried = match lock.try_lock() {
            Err(TryLockError::Poisoned(error)) => format!("{error}: {}", error.get_ref()),
            other => format!("{other:?}"),
        };
        let value = lock.get_mut().map(|value| *value).map_err(|error| *error.into_inner());
        let shown = format!("{lock:?}, {}", lock.is_poisoned());
        let inner = lock.into_inner().map_err(PoisonError::into_inner);
        format!("{told}; {tried}; {value:?}; {shown}; {inner:?}")
    }),
    ("poison can be cleared", || {
        let lock = poisoned(1);
        lock.clear_poison();
        format!("{}, {:?}", lock.is_poisoned(), lock.lock())
    }),
    ("a guard from within a panic does not poison", || {
        struct Locks<'a>(&'a Mutex<u8>);
        impl Drop for Locks<'_> {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let lock = Mutex::new(1);
        let panicked = catch_unwind(|| {
            let _locks = Locks(&lock);
            panic!("on purpose");
        });
        format!("{}, {lock:?}", panicked.is_err())
    }),
    ("a thread waits", || {
        let lock = Arc::new(Mutex::new(1));
        let guard = lock.lock().unwrap();
        let waiter = thread::spawn({
            let lock = lock.clone();
            move || *lock.lock().unwrap() += 1
        });
        thread::sleep(std::time::Duration::from_millis(10));
        drop(guard);
        waiter.join().unwrap();
        format!("{lock:?}")
    }),
    ("a thread waits for one that panics", || {
        let lock = Arc::new(Mutex::new(1));
        let (sender, receiver) = std::sync::mpsc::channel();
        let holder = thread::spawn({
            let lock = lock.clone();
            move || {
                let _guard = lock.lock();
                sender.send(()).unwrap();
                thread::sleep(std::time::Duration::from_millis(10));
                panic!("on purpose");
            }
        });
        receiver.recv().unwrap();
        let found = lock.lock().map(|guard| *guard).map_err(|error| error.to_string());
        format!("{found:?}, {}", holder.join().is_err())
    }),
    ("eight threads", || {
        static LOCK: Mutex<u32> = Mutex::new(0);
        let add = || (0..1000).for_each(|_| *LOCK.lock().unwrap() += 1);
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(add))));
        format!("{LOCK:?}")
    }),
    ("what is behind a lock need not be sized", || {
        let lock: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2]));
        lock.lock().unwrap()[0] = 7;
        let object: Box<Mutex<dyn Debug>> = Box::new(Mutex::new("object"));
        format!("{lock:?}, {object:?}, {:?}", object.lock())
    }),
    ("readers and a writer", || {
        let lock = RwLock::new(1);
        *lock.write().unwrap() += 1;
        let (one, two) = (lock.read().unwrap(), lock.try_read().unwrap());
        format!("{lock:?}, {one:?}, {two}, {:?}", lock.try_write().err())
    }),
    ("a writer alone", || {
        let lock = RwLock::new(1);
        let mut guard = lock.write().unwrap();
        *guard += 1;
        let refused = lock.try_read().err().unwrap();
        format!("{lock:?}, {guard:?}, {guard}, {refused:?}, {:?}", lock.try_write().err())
    }),
    ("of readers and writers, from a value, by default, in and out", || {
        let mut lock = RwLock::from(3);
        *lock.get_mut().unwrap() = 4;
        let shown = format!("{:?}, {:?}", lock.try_write(), RwLock::<u8>::default());
        format!("{shown}, {:?}", lock.into_inner())
    }),
    ("a reader's panic does not poison", || {
        let lock = RwLock::new(1);
        let panicked = panics(|| {
            let _guard = lock.read();
            panic!("on purpose");
        });
        format!("{panicked}, {lock:?}, {}", lock.is_poisoned())
    }),
    ("a writer's panic poisons", || {
        let mut lock = RwLock::new(1);
        let panicked = panics(|| {
            let _guard = lock.write();
            panic!("on purpose");
        });
        let (read, write) = (
            lock.read().map(|guard| *guard).map_err(|error| **error.get_ref()),
            lock.write().map(|guard| *guard).map_err(|error| **error.get_ref()),
        );
        let tried = [
            lock.try_read().map(|guard| *guard).map_err(|error| error.to_string()),
            lock.try_write().map(|guard| *guard).map_err(|error| error.to_string()),
        ];
        let value = lock.get_mut().map(|value| *value).map_err(|error| *error.into_inner());
        let told = format!("{panicked}, {read:?}, {write:?}, {tried:?}, {value:?}, {lock:?}");
        lock.clear_poison();
        format!("{told}, {}, {:?}", lock.is_poisoned(), lock.into_inner())
    }),
    ("readers wait for a writer, a writer for readers", || {
        let lock = Arc::new(RwLock::new(1));
        for writes in [true, false] {
            let (written, read);
            if writes {
                (written, read) = (Some(lock.write().unwrap()), None);
            } else {
                (written, read) = (None, Some(lock.read().unwrap()));
            }
            let waiter = thread::spawn({
                let lock = lock.clone();
                move || {
                    if writes {
                        assert_eq!(*lock.read().unwrap(), 1);
                    } else {
                        *lock.write().unwrap() += 1;
                    }
                }
            });
            thread::sleep(std::time::Duration::from_millis(10));
            drop((written, read));
            waiter.join().unwrap();
        }
        format!("{lock:?}")
    }),
    ("sized or not, of readers and writers", || {
        let lock: Box<RwLock<[u8]>> = Box::new(RwLock::new([1, 2]));
        lock.write().unwrap()[0] = 7;
        format!("{lock:?}, {:?}", lock.read())
    }),
];

fn panics(function: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(function)).is_err()
}

fn poisoned(value: u8) -> Mutex<u8> {
    let lock = Mutex::new(value);
    assert!(panics(|| {
        let _guard = lock.lock();
        panic!("on purpose");
    }));
    lock
}

/// The test is that this compiles.
#[allow(dead_code, reason = "compiled, not run")]
fn auto_traits() {
    use std::cell::Cell;
    fn shared<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}
    fn visible<T: Sync + Unpin>() {}
    shared::<Mutex<Cell<u8>>>();
    shared::<RwLock<u8>>();
    visible::<MutexGuard<'_, u8>>();
    visible::<RwLockReadGuard<'_, u8>>();
    visible::<RwLockWriteGuard<'_, u8>>();
}
