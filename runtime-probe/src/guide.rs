//! The guide: the files of `docs/` in the repository. This module exists in the documentation only.

/// [axum-examples-mounted-rs]: https://github.com/runtime-probe/runtime-probe/tree/main/runtime-probe/axum/examples/mounted.rs
#[doc = include_str!("../docs/axum.md")]
pub mod axum {}

/// [benches-records-2026-11-22-console]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-console.md
/// [benches-records-2026-11-22-consoles-attached]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-consoles-attached.md
#[doc = include_str!("../docs/console.md")]
pub mod console {}

/// [benches-records-2026-11-22]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22.md
/// [benches-records-2026-11-22-patched]: https://github.com/runtime-probe/runtime-probe/tree/main/benches/records/2026-11-22-patched.md
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
