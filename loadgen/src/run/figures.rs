//! What `--fail-if` can be asked of a run.

use crate::assess::condition::Unit;
use crate::output::document::run::RunDocument;
use crate::output::gate::{Distribution, Figure, Known};

/// Messages without their right reply, and what ended load threads.
fn errors(document: &RunDocument) -> Option<f64> {
    let checks = &document.checks;
    let lost = checks.messages_wrong + checks.messages_unanswered + checks.pings_unanswered;
    Some((lost + checks.faults.len() as u64) as f64)
}

fn rate(document: &RunDocument) -> Option<f64> {
    Some(document.result.as_ref()?.messages_per_second)
}

pub(super) const FIGURES: Known<RunDocument> = Known {
    figures: &[
        Figure::plain("rate", rate),
        Figure::plain("throughput", rate),
        Figure::plain("errors", errors),
        Figure::plain("backlog", |document| {
            Some(document.result.as_ref()?.backlog?.messages_end as f64)
        }),
        Figure::of_server("cpu", Unit::Time, |document| {
            document
                .result
                .as_ref()?
                .server
                .as_ref()?
                .cpu_ns_per_message
        }),
        Figure::of_server("memory", Unit::Bytes, |document| {
            let memory = document.result.as_ref()?.server.as_ref()?.memory?;
            Some(memory.rss_bytes as f64)
        }),
    ],
    distributions: &[
        Distribution {
            prefix: "",
            of: |document| Some(&document.result.as_ref()?.latency),
        },
        Distribution {
            prefix: "service-",
            of: |document| Some(&document.result.as_ref()?.service),
        },
        Distribution {
            prefix: "ping-",
            of: |document| document.result.as_ref()?.ping.as_ref(),
        },
        Distribution {
            prefix: "lateness-",
            of: |document| document.result.as_ref()?.lateness.as_ref(),
        },
    ],
};
