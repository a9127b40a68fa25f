//! The allocator that this program was built with, and its profiler at its default rate of a sample for each 512 KiB.

pub use imp::{sample_all, start};

#[cfg(feature = "probe")]
mod imp {
    use runtime_probe::pprof::{self, heap::Allocator};

    #[global_allocator]
    static HEAP: Allocator = Allocator::system();

    /// Starts the profiler.
    pub fn start() {
        drop(std::hint::black_box(Box::new(0)));
        pprof::set_mem_profile_rate(512 << 10);
    }

    /// Samples each allocation from now on.
    pub fn sample_all() {
        pprof::set_mem_profile_rate(1);
    }
}

#[cfg(feature = "jemalloc")]
mod imp {
    #[global_allocator]
    static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

    /// Read by jemalloc when it starts.
    #[cfg(feature = "jemalloc-prof")]
    #[unsafe(export_name = "_rjem_malloc_conf")]
    pub static CONFIGURATION: &[u8; 45] = b"prof:true,prof_active:true,lg_prof_sample:19\0";

    /// The profiler has started.
    pub fn start() {}

    /// Its rate is fixed when it starts.
    pub fn sample_all() {}
}

#[cfg(feature = "dial9")]
mod imp {
    use dial9::memory::{Dial9Allocator, MemoryProfiler, MemoryProfilingConfig};
    use dial9::{MemoryBuffer, Recorder};

    #[global_allocator]
    static HEAP: Dial9Allocator = Dial9Allocator::system();

    /// Starts the profiler; it ends when the returned value is dropped.
    pub fn start() -> impl Sized {
        let buffer = MemoryBuffer::new(64 << 20).expect("memory");
        let recorder: Recorder = dial9::recorder(buffer).build();
        let config = MemoryProfilingConfig::builder().track_liveset(true).build();
        let handle = recorder.handle().clone();
        let profiler = MemoryProfiler::from_config(config).install(handle);
        (profiler.expect("frame pointers"), recorder)
    }

    /// Its rate is fixed when it starts.
    pub fn sample_all() {}
}

#[cfg(not(any(feature = "probe", feature = "jemalloc", feature = "dial9")))]
mod imp {
    /// There is no profiler.
    pub fn start() {}

    /// There are no samples.
    pub fn sample_all() {}
}
