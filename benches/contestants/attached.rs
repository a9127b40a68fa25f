//! tokio's runtime builder, for a contestant that must be told of each runtime: `build` goes through `crate::build`.

pub use upstream::runtime::Runtime;

/// Has the methods that the workloads call.
pub struct Builder(upstream::runtime::Builder);

impl Builder {
    /// A runtime on the calling thread.
    pub fn new_current_thread() -> Self {
        Self(upstream::runtime::Builder::new_current_thread())
    }

    /// A runtime of workers.
    pub fn new_multi_thread() -> Self {
        Self(upstream::runtime::Builder::new_multi_thread())
    }

    /// How many workers.
    pub fn worker_threads(&mut self, workers: usize) -> &mut Self {
        self.0.worker_threads(workers);
        self
    }

    /// Both drivers, of I/O and of time.
    pub fn enable_all(&mut self) -> &mut Self {
        self.0.enable_all();
        self
    }

    /// The runtime. Called once for each builder, as the runtime takes the builder's state.
    pub fn build(&mut self) -> std::io::Result<Runtime> {
        let builder = std::mem::replace(
            &mut self.0,
            upstream::runtime::Builder::new_current_thread(),
        );
        crate::build(builder)
    }
}
