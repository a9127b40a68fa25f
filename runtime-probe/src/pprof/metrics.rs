//! What the probe knows as metrics for Prometheus, beside the page `/metrics`.

use crate::pages::metrics::Figures;
use prometheus_client::collector::Collector;

/// The metrics of the probe for a registry of the service's own: register it there, and the service's page has them. Those of the
/// process (`process_*`) are on the page `/metrics` only: most registries have them already. Reading costs 50 ns for each task
/// that is alive, and 20 us for each spawn site that has times.
///
/// ```
/// use prometheus_client::encoding::text::encode;
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// registry.register_collector(runtime_probe::pprof::metrics::collector());
/// let mut page = String::new();
/// encode(&mut page, &registry)?;
/// assert!(page.contains("# TYPE runtime_probe_tasks_unlisted gauge\n"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
pub fn collector() -> Box<dyn Collector> {
    crate::source::start();
    Box::new(Figures::OfTheProbe)
}
