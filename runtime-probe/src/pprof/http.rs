//! The endpoints for an HTTP server other than [`Server`](super::Server): checks and handlers, without a socket, with
//! std's types. The crate `runtime-probe-axum` uses this, and a router for another framework can do so.
//!
//! ```
//! use runtime_probe::pprof::http::{Carrier, Endpoints};
//! use std::io;
//!
//! /// A reply in memory; a server would send it.
//! #[derive(Default)]
//! struct Page { status: u16, body: Vec<u8> }
//!
//! impl Carrier for Page {
//!     fn begin(&mut self, status: u16, _: &[(&'static str, String)], _: Option<usize>) -> io::Result<()> {
//!         self.status = status;
//!         Ok(())
//!     }
//!     fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
//!         self.body.extend(piece);
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> io::Result<()> {
//! let mut page = Page::default();
//! let headers = [("Host".to_owned(), "localhost:8080".to_owned())];
//! let exchange = Endpoints::local().open("GET", "/debug/pprof/goroutine?debug=2", headers);
//! assert_eq!(exchange.body_limit(), 0);
//! exchange.answer(Vec::new(), || false, &mut page)?;
//! assert_eq!(page.status, 200);
//! # Ok(()) }
//! ```

pub use crate::pages::endpoints::Endpoints;
pub use runtime_probe_http::exchange::{Carrier, Exchange};
