//! Arguments in, exit code out.

use std::process::ExitCode;

/// Request-path allocations are small, short-lived and freed by the thread that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    coo_llm::cli::run()
}
