//! What all load threads counted together.

use std::thread::JoinHandle;

use anyhow::Context;
use hdrhistogram::Histogram;

use super::series::Series;
use crate::echo::tally::Deflated;
use crate::fault::Fault;
use crate::load::{Counts, Harvest, join};
use crate::result::Checks;
use crate::wire::failure::Failure;

/// Most faults, and most wrong replies, that a result tells one by one.
const FAULTS_MAX: usize = 20;

/// The sum.
#[derive(Default)]
pub(super) struct Gathered {
    /// Only of a loop with a schedule.
    pub(super) service: Option<Histogram<u64>>,
    pub(super) lateness: Option<Histogram<u64>>,
    /// Only with pings.
    pub(super) ping: Option<Histogram<u64>>,
    pub(super) checks: Checks,
    pub(super) deflated: Deflated,
    /// Messages of each heavy connection within the window.
    pub(super) heavy_shares: Option<Vec<u64>>,
    /// Messages that were in flight on connections which ended before their time, and were made again.
    pub(super) lost: u64,
    /// Whether a part has come of a reply that has not come whole.
    pub(super) has_part: bool,
    /// The faults in all, of which `checks` has the first.
    pub(super) faults: usize,
}

impl Gathered {
    /// Counts a fault, and keeps its sentence if there are not too many.
    pub(super) fn add_fault(&mut self, sentence: String) {
        self.faults += 1;
        if self.checks.faults.len() < FAULTS_MAX {
            self.checks.faults.push(sentence);
        }
    }
}

/// Waits for the threads, and adds to `series` what they had not handed over.
pub(super) fn gather(
    threads: Vec<JoinHandle<Harvest<Counts>>>,
    mut series: Option<&mut Series<'_>>,
) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered::default();
    if let Some(series) = &mut series {
        series.collect();
    }
    for Harvest { counts, fault } in join(threads)? {
        let Counts {
            tally,
            given_up,
            reconnects,
            heavy_shares,
        } = counts;
        if heavy_shares.is_some() {
            gathered.heavy_shares = heavy_shares;
        } else {
            if let Some(series) = &mut series {
                series.add(&tally.latency);
            }
            add(&mut gathered.service, tally.service)?;
            add(&mut gathered.lateness, tally.lateness)?;
            add(&mut gathered.ping, tally.ping)?;
            gathered.deflated.add(tally.deflated);
        }
        let checks = &mut gathered.checks;
        checks.messages_verified += tally.messages;
        checks.messages_wrong += tally.wrong;
        checks.payload_bytes_verified += tally.compared_bytes;
        checks.replies_fragmented += tally.fragmented;
        checks.replies_compressed += tally.compressed;
        checks.pings_answered += tally.pings;
        checks.pongs_received += tally.pongs;
        checks.messages_unanswered += given_up.unanswered + given_up.lost;
        gathered.lost += given_up.lost;
        gathered.has_part |= given_up.has_part;
        checks.reconnects += reconnects;
        checks.pings_unanswered += given_up.pings;
        checks.messages_unsent += given_up.unsent;
        let oldest_seconds = given_up.oldest_ns as f64 / 1e9;
        checks.oldest_unanswered_seconds = checks.oldest_unanswered_seconds.max(oldest_seconds);
        let wrong = tally.mismatches.into_iter().map(|(connection, mismatch)| {
            let fault = Fault {
                connection: Some(connection),
                failure: Failure::Mismatch(Box::new(mismatch)),
            };
            fault.to_string()
        });
        let room = FAULTS_MAX.saturating_sub(checks.mismatches.len());
        checks.mismatches.extend(wrong.take(room));
        if let Some(fault) = fault {
            gathered.add_fault(fault);
        }
    }
    Ok(gathered)
}

fn add(total: &mut Option<Histogram<u64>>, part: Option<Histogram<u64>>) -> anyhow::Result<()> {
    match (total.as_mut(), part) {
        (Some(total), Some(part)) => total.add(&part).context("merging histograms"),
        (None, part) => {
            *total = part;
            Ok(())
        }
        (Some(_), None) => Ok(()),
    }
}
