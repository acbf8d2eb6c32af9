//! Section `logging`.

use std::path::PathBuf;
use std::time::Duration;

use super::headers;
use crate::config::duration::Bare;
use crate::config::field::Section;
use crate::config::limits::*;
use crate::config::schema::{AccessLog, LogProvider, LogTarget, Logging, Prometheus, Rotation};

pub(super) fn read(section: &Section<'_>) -> Logging {
    Logging {
        access: access(&section.section("access"), &section.section("file")),
        prometheus: prometheus(&section.section("prometheus")),
        providers: section
            .get("providers")
            .map(|field| field.items())
            .unwrap_or_default()
            .iter()
            .filter_map(|item| item.section())
            .map(|item| provider(&item))
            .collect(),
    }
}

/// `logging.access.path` wins; else `logging.file`, when set and enabled; else stdout.
fn access(access: &Section<'_>, file: &Section<'_>) -> AccessLog {
    let file_enabled = file.truth("enabled", true) && !file.is_empty();
    let file_path = match file.get("path") {
        Some(field) => field.file(),
        None => Some(file.folder_path(DEFAULT_LOG_PATH)),
    };
    let own = access.get("path");
    let own = own.map(|field| match field.text().as_deref() {
        Some("-") => LogTarget::Stdout,
        Some("") | None => {
            field.error("expected a path, or `-` for the standard output", None);
            LogTarget::Stdout
        }
        Some(_) => file_or_stdout(field.file()),
    });
    let target = own.unwrap_or_else(|| match file_enabled {
        true => file_or_stdout(file_path),
        false => LogTarget::Stdout,
    });
    let megabytes = file.count("max_size_mb", 1..=MAX_LOG_SIZE_MB, DEFAULT_LOG_SIZE_MB);
    let backups = file.count("max_backups", 0..=MAX_LOG_BACKUPS, DEFAULT_LOG_BACKUPS);
    AccessLog {
        enabled: access.truth("enabled", true),
        target,
        rotation: Rotation { max_bytes: megabytes << 20, max_backups: usize::try_from(backups).unwrap_or(0) },
    }
}

fn file_or_stdout(path: Option<PathBuf>) -> LogTarget {
    path.map_or(LogTarget::Stdout, LogTarget::File)
}

fn prometheus(section: &Section<'_>) -> Prometheus {
    let endpoint = section.get("endpoint").and_then(|field| {
        field.parse("a path", |text| {
            let clean = |b: u8| b.is_ascii_graphic() && !b"?#%".contains(&b);
            let own = ["/v1", "/api/v1", "/admin", "/api/admin", "/health", "/livez", "/readyz"];
            let taken = |path: &&str| {
                let rest = text.strip_prefix(path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if !text.starts_with('/') || text.len() < 2 || !text.bytes().all(clean) {
                Err("expected a path such as /metrics")
            } else if own.iter().any(taken) {
                Err("this path is taken by the API")
            } else {
                Ok(text.to_owned())
            }
        })
    });
    Prometheus {
        enabled: section.truth("enabled", true),
        endpoint: endpoint.unwrap_or_else(|| DEFAULT_METRICS_PATH.to_owned()),
    }
}

fn provider(section: &Section<'_>) -> LogProvider {
    let batch = section.section("batch");
    let minute = Duration::from_secs(60);
    LogProvider {
        name: section.text("name").unwrap_or_default(),
        kind: section.text("type").unwrap_or_default(),
        endpoint: section.secret("endpoint"),
        headers: headers(&section.section("headers"), &[], MAX_EXTRA_HEADERS),
        batch: batch.truth("enabled", false),
        batch_size: batch.count("size", 0..=MAX_CONNECTIONS, 0),
        batch_interval: batch
            .get("interval_seconds")
            .and_then(|field| field.duration(Bare::Seconds, Duration::ZERO..=MAX_TIMEOUT))
            .unwrap_or(minute),
    }
}
