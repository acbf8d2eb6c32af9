//! What the scenario runners share: which scenarios, which programs, and how what was found is told.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::versus::{host::Host, table::Table};

/// Those of `all` that are `named`; all where none is.
///
/// # Errors
/// A name that none of them has.
pub(crate) fn selected<S>(
    all: Vec<S>,
    named: &[String],
    name: impl Fn(&S) -> &'static str,
) -> io::Result<Vec<S>> {
    if let Some(other) = named.iter().find(|named| all.iter().all(|one| name(one) != **named)) {
        return Err(io::Error::other(format!("no scenario is named {other}: see --list")));
    }
    let wanted = |one: &S| named.is_empty() || named.iter().any(|named| named == name(one));
    Ok(all.into_iter().filter(wanted).collect())
}

/// The gateway programs `named`; the one beside this program where none is.
///
/// # Errors
/// There is none beside this program. `instead` says what else could be done.
pub(crate) fn gateways(named: &[PathBuf], instead: &str) -> io::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let sibling = std::env::current_exe()?.with_file_name("coo-llm");
    if sibling.exists() {
        return Ok(vec![sibling]);
    }
    let error = format!("there is no coo-llm beside this program: name it with --gateway{instead}");
    Err(io::Error::other(error))
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a, F> {
    host: &'a Host,
    table: &'a Table,
    findings: &'a [F],
}

/// Prints the table, and writes what was found to the file of `--json`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn tell<F: Serialize>(
    table: &Table,
    host: &Host,
    findings: &[F],
    json: Option<&Path>,
) -> io::Result<()> {
    print!("{}", table.markdown(host));
    match json {
        Some(path) => fs::write(path, serde_json::to_vec_pretty(&Report { host, table, findings })?),
        None => Ok(()),
    }
}
