//! How much memory a parser takes at its worst.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What `parse` makes, if it never holds more than so many bytes beyond what was held before. Counts every thread's.
///
/// # Panics
/// When it holds more.
pub(crate) fn within<T>(bytes_max: usize, parse: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let parsed = parse();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= bytes_max, "took {taken} bytes of memory, more than {bytes_max}");
    parsed
}
