//! What `--fail-if` can be asked of an idle crowd.

use crate::assess::condition::Unit;
use crate::output::document::idle::IdleDocument;
use crate::output::gate::{Figure, Known};

pub(super) const FIGURES: Known<IdleDocument> = Known {
    figures: &[
        Figure::of_server("growth", Unit::Bytes, |document| {
            Some(document.growth?.rss_bytes_per_connection)
        }),
        Figure::of_server("kept", Unit::Bytes, |document| {
            Some(document.kept?.rss_bytes_per_connection)
        }),
        Figure::of_server("memory", Unit::Bytes, |document| {
            Some(document.memory_full?.rss_bytes as f64)
        }),
        Figure::plain("connections", |document| {
            Some(document.connections_opened as f64)
        }),
        Figure::plain("errors", |document| {
            let unopened = document.connections_asked - document.connections_opened;
            Some((unopened + document.connections_lost) as f64)
        }),
    ],
    distributions: &[],
};
