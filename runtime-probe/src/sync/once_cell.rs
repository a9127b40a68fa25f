use super::SetError;
use crate::source::locks::once::Once;
use std::fmt;
use std::future::Future;

/// An instrumented cell: dumps show which task initializes it. Mirrors [`tokio::sync::OnceCell`], whose documentation
/// applies.
///
/// ```
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use runtime_probe::sync::OnceCell;
///
/// static PORT: OnceCell<u16> = OnceCell::const_new();
/// assert_eq!(PORT.get_or_init(|| async { 80 }).await, &80);
/// assert_eq!(PORT.get(), Some(&80));
/// # })
/// ```
pub struct OnceCell<T>(Once<T>);

impl<T> OnceCell<T> {
    /// Mirrors [`tokio::sync::OnceCell::new`].
    #[track_caller]
    pub fn new() -> Self {
        OnceCell(Once::new(tokio::sync::OnceCell::new()))
    }

    /// For statics. Mirrors [`tokio::sync::OnceCell::const_new`].
    #[track_caller]
    pub const fn const_new() -> Self {
        OnceCell(Once::new(tokio::sync::OnceCell::const_new()))
    }

    /// With a value, if there is one. Mirrors [`tokio::sync::OnceCell::new_with`].
    #[track_caller]
    pub fn new_with(value: Option<T>) -> Self {
        OnceCell(Once::new(tokio::sync::OnceCell::new_with(value)))
    }

    /// With a value, for statics. Mirrors [`tokio::sync::OnceCell::const_new_with`].
    #[track_caller]
    pub const fn const_new_with(value: T) -> Self {
        OnceCell(Once::new(tokio::sync::OnceCell::const_new_with(value)))
    }

    /// Whether it has its value. Mirrors [`tokio::sync::OnceCell::initialized`].
    pub fn initialized(&self) -> bool {
        self.0.cell().initialized()
    }

    /// The value, if there is one. Mirrors [`tokio::sync::OnceCell::get`].
    pub fn get(&self) -> Option<&T> {
        self.0.cell().get()
    }

    /// Mirrors [`tokio::sync::OnceCell::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.cell_mut().get_mut()
    }

    /// Sets the value. Mirrors [`tokio::sync::OnceCell::set`].
    ///
    /// # Errors
    /// The cell has a value, or a task is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.0.cell().set(value)
    }

    /// The value. The first caller makes it. Mirrors [`tokio::sync::OnceCell::get_or_init`]; if that caller is
    /// cancelled, the next one makes it.
    pub async fn get_or_init<F, Fut>(&self, f: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        self.0.value_or_init(f).await
    }

    /// The same, unless making it fails. Mirrors [`tokio::sync::OnceCell::get_or_try_init`].
    ///
    /// # Errors
    /// The errors of `f`.
    pub async fn get_or_try_init<E, F, Fut>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.0.value_or_try_init(f).await
    }

    /// Mirrors [`tokio::sync::OnceCell::into_inner`].
    pub fn into_inner(self) -> Option<T> {
        self.0.into_cell().into_inner()
    }

    /// Takes the value out of the cell. Mirrors [`tokio::sync::OnceCell::take`].
    pub fn take(&mut self) -> Option<T> {
        self.0.cell_mut().take()
    }
}

impl<T> Default for OnceCell<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new_with(Some(value))
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.cell().fmt(f)
    }
}
