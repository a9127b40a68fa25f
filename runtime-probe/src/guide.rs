//! The guide: the files of `docs/` in the repository. This module exists in the documentation only.

/// [axum-examples-mounted-rs]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/axum/examples/mounted.rs
#[doc = include_str!("../docs/axum.md")]
pub mod axum {}

/// [benches-records-2026-11-22-console]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-console.md
/// [benches-records-2026-11-22-consoles-attached]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-consoles-attached.md
#[doc = include_str!("../docs/console.md")]
pub mod console {}

/// [benches-records-2026-11-22]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22.md
/// [benches-records-2026-11-30]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-30.md
/// [benches-records-2026-12-01]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-12-01.md
/// [benches-records-2026-12-01-decode]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-12-01-decode.md
/// [benches-records-2026-12-01-echo]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-12-01-echo.md
/// [decision-0096]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/decisions/0096-the-count-of-references-is-above-the-version.md
/// [decision-0097]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/decisions/0097-the-flight-recorder-leaves-the-events-where-they-are.md
/// [decision-0098]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/decisions/0098-the-last-reference-is-left-for-the-next-registration.md
/// [decision-0102]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/decisions/0102-a-wait-is-compared-with-one-cache-line.md
/// [cli-readme]: https://github.com/runtime-probe/runtime-probe/tree/main/dump/cli/README.md
/// [benches-readme]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/README.md
#[doc = include_str!("../docs/cost.md")]
pub mod cost {}

/// [remote]: mod@remote
/// [metrics]: mod@metrics
/// [ui]: mod@ui
/// [goroutine-schema]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/schema/goroutine.json
/// [tasks-schema]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/schema/tasks.json
/// [threads-schema]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/docs/schema/threads.json
/// [examples-criterion]: https://github.com/runtime-probe/runtime-probe/tree/main/examples/criterion
#[doc = include_str!("../docs/endpoints.md")]
pub mod endpoints {}

#[doc = include_str!("../docs/environment.md")]
pub mod environment {}

/// [endpoints-spans-in-a-trace]: mod@endpoints#spans-in-a-trace
/// [examples-ecosystem]: https://github.com/runtime-probe/runtime-probe/tree/main/examples/ecosystem
/// [setup-patch-the-whole-graph]: mod@setup#patch-the-whole-graph
/// [benches-records-2026-11-22-upstream]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-upstream.md
#[doc = include_str!("../docs/libraries.md")]
pub mod libraries {}

/// [setup-patch-the-whole-graph]: mod@setup#patch-the-whole-graph
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

/// [endpoints-heap]: mod@endpoints#heap
/// [examples-monitoring]: https://github.com/runtime-probe/runtime-probe/tree/main/examples/monitoring
#[doc = include_str!("../docs/metrics.md")]
pub mod metrics {}

#[doc = include_str!("../docs/remote.md")]
pub mod remote {}

#[doc = include_str!("../docs/setup.md")]
pub mod setup {}

#[doc = include_str!("../docs/shop.md")]
pub mod shop {}

#[doc = include_str!("../docs/stability.md")]
pub mod stability {}

/// [setup-patch-the-whole-graph]: mod@setup#patch-the-whole-graph
/// [remote]: mod@remote
#[doc = include_str!("../docs/troubleshooting.md")]
pub mod troubleshooting {}

/// [endpoints]: mod@endpoints
/// [ui-summary]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/summary.png
/// [ui-tasks]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/tasks.png
/// [ui-locks]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/locks.png
/// [ui-flame]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/flame.png
/// [ui-timeline]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/timeline.png
/// [ui-timeline-dark]: https://github.com/runtime-probe/runtime-probe/raw/main/runtime-probe/docs/ui/timeline-dark.png
#[doc = include_str!("../docs/ui.md")]
pub mod ui {}
