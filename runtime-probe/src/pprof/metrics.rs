//! The probe's metrics for a Prometheus registry, beside the page `/metrics`.

use crate::pages::metrics::Figures;
use prometheus_client::collector::Collector;

/// A collector of the probe's metrics, for the registry of the service. The metrics of the process (`process_*`) are on
/// the page `/metrics` only, because most registries have them already. Reading costs 50 ns for each live task, and 20
/// us for each spawn site that has times.
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
