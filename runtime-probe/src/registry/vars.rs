//! Variables that the program publishes, as Go's `expvar`.

use crate::primitive::lock;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The most variables. A variable is for a property of the program, not for each client or request.
pub(crate) const MOST_NAMES: usize = 1024;

/// The most keys in one [`Map`].
const MOST_KEYS: usize = 4096;

/// The value of a variable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; `null` if JSON has no such number (infinite, not a number).
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, ordered by key.
    Map(BTreeMap<String, Value>),
}

/// A variable that can be published: one of [`Int`], [`Float`], [`Text`], [`Map`] and [`Func`], or a `&'static` or an [`Arc`] of one.
pub trait Var: fmt::Debug + Send + Sync + 'static {
    /// The current value.
    fn value(&self) -> Value;
}

impl<V: Var> Var for &'static V {
    fn value(&self) -> Value {
        V::value(self)
    }
}

impl<V: Var> Var for Arc<V> {
    fn value(&self) -> Value {
        V::value(self)
    }
}

/// A whole number, as Go's `expvar.Int`.
#[derive(Debug, Default)]
pub struct Int(AtomicI64);

impl Int {
    /// A number, which may be a `static`.
    pub const fn new(value: i64) -> Int {
        Int(AtomicI64::new(value))
    }

    /// Adds to the number; a sum beyond 64 bits wraps.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The current value.
    pub fn load(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Var for Int {
    fn value(&self) -> Value {
        Value::Int(self.load())
    }
}

/// A number, as Go's `expvar.Float`.
#[derive(Debug, Default)]
pub struct Float(AtomicU64);

impl Float {
    /// A number, which may be a `static`.
    pub const fn new(value: f64) -> Float {
        Float(AtomicU64::new(value.to_bits()))
    }

    /// Adds to the value.
    pub fn add(&self, more: f64) {
        let mut bits = self.0.load(Ordering::Relaxed);
        while let Err(newer) = self.0.compare_exchange_weak(
            bits,
            (f64::from_bits(bits) + more).to_bits(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            bits = newer;
        }
    }

    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The current value.
    pub fn load(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Var for Float {
    fn value(&self) -> Value {
        Value::Float(self.load())
    }
}

/// A string, as Go's `expvar.String`.
#[derive(Debug, Default)]
pub struct Text(Mutex<String>);

impl Text {
    /// An empty one, which may be a `static`.
    pub const fn new() -> Text {
        Text(Mutex::new(String::new()))
    }

    /// Sets the value.
    pub fn set(&self, text: impl Into<String>) {
        let text = text.into();
        let before = std::mem::replace(&mut *lock(&self.0), text);
        // Freed outside of the lock.
        drop(before);
    }
}

impl Var for Text {
    fn value(&self) -> Value {
        Value::Text(lock(&self.0).clone())
    }
}

/// Numbers by key, as Go's `expvar.Map`: up to 4,096 keys.
#[derive(Debug, Default)]
pub struct Map(Mutex<BTreeMap<String, Value>>);

impl Map {
    /// An empty one, which may be a `static`.
    pub const fn new() -> Map {
        Map(Mutex::new(BTreeMap::new()))
    }

    /// Adds to the number of a key. A missing value, or one that is no whole number, counts as 0. Returns whether there
    /// was room for the key.
    pub fn add(&self, key: &str, more: i64) -> bool {
        let mut map = lock(&self.0);
        let is_full = map.len() >= MOST_KEYS;
        match map.get_mut(key) {
            Some(Value::Int(number)) => *number = number.wrapping_add(more),
            Some(other) => *other = Value::Int(more),
            None if is_full => return false,
            None => drop(map.insert(key.to_owned(), Value::Int(more))),
        }
        true
    }

    /// Sets the value of a key. Returns whether there was room for the key.
    pub fn set(&self, key: &str, value: Value) -> bool {
        let mut map = lock(&self.0);
        let is_full = map.len() >= MOST_KEYS && !map.contains_key(key);
        if !is_full {
            map.insert(key.to_owned(), value);
        }
        !is_full
    }

    /// Removes a key.
    pub fn remove(&self, key: &str) {
        lock(&self.0).remove(key);
    }
}

impl Var for Map {
    fn value(&self) -> Value {
        Value::Map(lock(&self.0).clone())
    }
}

/// A variable whose value is the result of a function, as Go's `expvar.Func`. The function runs on a thread of the
/// server at each request. If it panics, the value is `null`.
pub struct Func<F>(F);

impl<F: Fn() -> Value + Send + Sync + 'static> Func<F> {
    /// A variable with this function.
    pub const fn new(function: F) -> Func<F> {
        Func(function)
    }
}

impl<F> fmt::Debug for Func<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Func").finish_non_exhaustive()
    }
}

impl<F: Fn() -> Value + Send + Sync + 'static> Var for Func<F> {
    fn value(&self) -> Value {
        (self.0)()
    }
}

/// By name. Variables are never removed.
static PUBLISHED: Mutex<BTreeMap<String, Arc<dyn Var>>> = Mutex::new(BTreeMap::new());

/// Why a variable is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Taken,
    TooMany,
}

/// Publishes a variable.
///
/// # Errors
/// There is one of that name, or there are [`MOST_NAMES`].
pub(crate) fn publish(name: &str, var: impl Var) -> Result<(), Refused> {
    let var: Arc<dyn Var> = Arc::new(var);
    let mut published = lock(&PUBLISHED);
    let is_full = published.len() == MOST_NAMES;
    match published.entry(name.to_owned()) {
        Entry::Occupied(_) => Err(Refused::Taken),
        Entry::Vacant(_) if is_full => Err(Refused::TooMany),
        Entry::Vacant(free) => {
            free.insert(var);
            Ok(())
        }
    }
}

/// All variables, ordered by name.
pub(crate) fn published() -> Vec<(String, Arc<dyn Var>)> {
    let published = lock(&PUBLISHED);
    published
        .iter()
        .map(|(name, var)| (name.clone(), var.clone()))
        .collect()
}
