//! From what an idle crowd was found to cost to its document.

use super::options::IdleOptions;
use crate::quantity::grouped;
use crate::result::idle::IdleResult;
use crate::result::load::{Load, Loop};
use crate::result::{Checks, Document, NO_RESULT, Outcome, PARTIAL, Status};

/// What the server agreed to, and where it was; `None` if it never answered.
#[derive(Default)]
pub(super) struct Met {
    pub(super) address: Option<String>,
    pub(super) tls: Option<String>,
    pub(super) seed: u64,
}

/// Sums up.
pub(super) fn document(
    options: &IdleOptions,
    met: Met,
    ending: (Status, Option<String>),
    result: IdleResult,
) -> Document {
    let load = Load {
        addresses: met.address.into_iter().collect(),
        tls: met.tls,
        loop_kind: Loop::Idle,
        threads: 1,
        cpus: options.place.cpus(),
        engine: "epoll".to_owned(),
        engine_reason: "idle connections need no other".to_owned(),
        server_pids: options.place.server_pids.clone(),
        duration_seconds: options.hold.as_secs_f64(),
        ..options
            .load
            .describe(options.load.exchange.kinds(None), met.seed)
    };
    let summary = summary(ending.0, &result);
    Document {
        summary,
        ..Document::new(
            ending,
            load,
            Checks::default(),
            Outcome::Idle(Some(Box::new(result))),
        )
    }
}

fn summary(status: Status, result: &IdleResult) -> String {
    match (status, result.growth) {
        (Status::Interrupted, _) => PARTIAL.to_owned(),
        (Status::Failed, _) => NO_RESULT.to_owned(),
        (_, None) => "What a connection costs is not known.".to_owned(),
        (_, Some(growth)) => format!(
            "A connection that does nothing costs the server {:.0} B of resident memory ({} were held).",
            growth.rss_bytes_per_connection,
            grouped(result.connections_opened as u64)
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::process::Memory;
    use crate::result::idle::Growth;

    #[test]
    fn growth_is_per_connection_and_may_be_negative() {
        let memory = |bytes| Memory {
            rss_bytes: bytes,
            ..Memory::default()
        };
        let growth = |before, full, connections| {
            Growth::between(memory(before), memory(full), connections)
                .map(|growth| growth.rss_bytes_per_connection)
        };
        assert_eq!(growth(1000, 6000, 10), Some(500.0));
        assert_eq!(growth(2000, 1000, 10), Some(-100.0));
        assert_eq!(growth(2000, 1000, 0), None);
    }
}
