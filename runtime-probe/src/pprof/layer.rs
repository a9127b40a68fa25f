//! A tower layer: each request is an entry of its own in a dump.
//!
//! Only the two crates with tower's traits are used. They are tiny and do not depend on tokio.

use std::fmt;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

pub use crate::source::named::Named;

use crate::registry::task::{Kind, Spawn};
use crate::source::instrumented::Instrumented;
use crate::source::{self, waker};

/// A tower layer that makes each request an entry of its own in a dump, as [`instrument`](super::instrument) does for a
/// future. The entry shows what the request waits for, since when, and on which line of its handler. Needs the feature
/// `tower`.
///
/// Without the layer a request is part of the task that serves its connection, and that task has no stack if a
/// dependency spawned it, as `axum::serve` does. An entry exists from the request to its response; the connection's
/// task sends the body. The line of this call is its spawn site. An entry costs as much as a spawned task.
///
/// ```
/// # struct Request { path: &'static str }
/// use runtime_probe::pprof;
///
/// let plain = pprof::layer();
/// let named = pprof::layer().named("checkout");
/// let by_path = pprof::layer().named_by(|request: &Request| request.path.to_owned());
/// # let _ = (plain, named, by_path);
/// ```
#[inline(always)]
#[track_caller]
pub fn layer() -> RequestLayer<Unnamed> {
    RequestLayer {
        site: Site(source::spawn_here()),
        naming: Unnamed,
    }
}

/// The layer that [`layer`] makes.
#[derive(Clone, Debug)]
pub struct RequestLayer<N> {
    site: Site,
    naming: N,
}

impl RequestLayer<Unnamed> {
    /// Sets one name for all requests. A dump shows it in the `#` lines of the entries.
    pub fn named(self, name: &'static str) -> RequestLayer<Fixed> {
        RequestLayer {
            site: self.site,
            naming: Fixed(name),
        }
    }

    /// Names each request by a function, such as its method and route. A name is cut off at 256 bytes, and equal names
    /// are kept once. The function is not called if the probe is off.
    ///
    /// With axum: `layer().named_by(|request: &axum::extract::Request| format!("{} {}", request.method(), request.uri().path()))`.
    pub fn named_by<R, F>(self, name: F) -> RequestLayer<By<F>>
    where
        F: Fn(&R) -> String,
    {
        RequestLayer {
            site: self.site,
            naming: By(name),
        }
    }
}

impl<S, N: Clone> Layer<S> for RequestLayer<N> {
    type Service = RequestService<S, N>;

    fn layer(&self, inner: S) -> RequestService<S, N> {
        RequestService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests are entries; [`RequestLayer`] makes it.
#[derive(Clone, Debug)]
pub struct RequestService<S, N> {
    inner: S,
    layer: RequestLayer<N>,
}

impl<R, S, N> Service<R> for RequestService<S, N>
where
    S: Service<R>,
    N: Naming<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Named<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Named<S::Future> {
        let name = source::start()
            .then(|| self.layer.naming.name(&request))
            .flatten();
        let spawn = Spawn {
            parent: waker::current_task(),
            ..self.layer.site.0
        };
        let future = self.inner.call(request);
        let entry = Instrumented::new(Kind::Nested, source::own_id(), Some(spawn), future);
        Named::new(name.as_deref(), entry)
    }
}

/// Where the layer was made.
#[derive(Clone)]
struct Site(Spawn);

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.location.fmt(f)
    }
}

/// How requests are named. A sealed trait.
pub trait Naming<R>: sealed::Sealed {
    /// The name of a request, if it gets one.
    fn name(&self, request: &R) -> Option<String>;
}

/// No name.
#[derive(Clone, Copy, Debug)]
pub struct Unnamed;

/// The same name for all, see [`RequestLayer::named`].
#[derive(Clone, Copy, Debug)]
pub struct Fixed(&'static str);

/// A name by a function of the request, see [`RequestLayer::named_by`].
#[derive(Clone, Copy)]
pub struct By<F>(F);

impl<R> Naming<R> for Unnamed {
    fn name(&self, _: &R) -> Option<String> {
        None
    }
}

impl<R> Naming<R> for Fixed {
    fn name(&self, _: &R) -> Option<String> {
        Some(self.0.to_owned())
    }
}

impl<R, F: Fn(&R) -> String> Naming<R> for By<F> {
    fn name(&self, request: &R) -> Option<String> {
        Some((self.0)(request))
    }
}

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("By(..)")
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Unnamed {}
    impl Sealed for super::Fixed {}
    impl<F> Sealed for super::By<F> {}
}
