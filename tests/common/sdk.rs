//! What `tests/run` installed of the official SDKs.

use std::path::{Path, PathBuf};

/// A file of the repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where `tests/run` put something; it is no use to go on without.
pub fn installed(path: &str) -> PathBuf {
    let path = file("target/sdk").join(path);
    assert!(path.exists(), "{} is missing: run `make test` or `tests/run --install`", path.display());
    path
}

/// The first number behind `before`.
pub fn number(text: &str, before: &str) -> Option<u32> {
    text.split_once(before)?.1.split_whitespace().next()?.parse().ok()
}
