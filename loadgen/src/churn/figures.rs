//! What `--fail-if` can be asked of a storm.

use crate::assess::condition::Unit;
use crate::output::document::storm::StormDocument;
use crate::output::gate::{Distribution, Figure, Known};

fn rate(document: &StormDocument) -> Option<f64> {
    Some(document.result.as_ref()?.visits_per_second)
}

pub(super) const FIGURES: Known<StormDocument> = Known {
    figures: &[
        Figure::plain("rate", rate),
        Figure::plain("throughput", rate),
        Figure::plain("errors", |document| {
            Some(document.result.as_ref()?.visits_failed as f64)
        }),
        Figure::plain("backlog", |document| {
            Some(document.result.as_ref()?.backlog?.visits_end as f64)
        }),
        Figure::of_server("cpu", Unit::Time, |document| {
            document.result.as_ref()?.server_cpu_ns_per_visit
        }),
    ],
    distributions: &[
        Distribution {
            prefix: "",
            of: |document| Some(&document.result.as_ref()?.visit),
        },
        Distribution {
            prefix: "connect-",
            of: |document| Some(&document.result.as_ref()?.connect),
        },
        Distribution {
            prefix: "handshake-",
            of: |document| Some(&document.result.as_ref()?.handshake),
        },
        Distribution {
            prefix: "first-echo-",
            of: |document| Some(&document.result.as_ref()?.first_echo),
        },
        Distribution {
            prefix: "lateness-",
            of: |document| document.result.as_ref()?.lateness.as_ref(),
        },
    ],
};
