//! What all load threads counted together.

use anyhow::Context;
use hdrhistogram::Histogram;

use super::plan::Counts;
use super::result::Own;
use super::series::Series;
use crate::echo::tally::Deflated;
use crate::load::Harvest;
use crate::result::Checks;
use crate::result::figures::{Figures, HeavyResult};
use crate::result::latency::Latency;
use crate::result::load::Load;
use crate::wire::failure::Failure;

/// Most faults, and most wrong replies, that a result tells one by one.
const FAULTS_MAX: usize = 20;

/// The sum.
#[derive(Default)]
pub(super) struct Gathered {
    /// Only of a loop with a schedule.
    pub(super) uncorrected: Option<Histogram<u64>>,
    pub(super) send_lag: Option<Histogram<u64>>,
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
    /// What only a run knows of the window of `series`.
    pub(super) fn own(&self, load: &Load, series: Option<&Series<'_>>) -> Own<'_> {
        let checks = &self.checks;
        Own {
            figures: Figures {
                uncorrected_latency: self.uncorrected.as_ref().map(Latency::of),
                ping: self.ping.as_ref().map(Latency::of),
                deflate_ratio: self.deflated.ratio(),
                heavy: series.and_then(|series| self.heavy(load, series.window().seconds)),
                ..Figures::default()
            },
            // What a message costs cannot be told from what the heavy connections' messages cost.
            failed: load.heavy.is_none().then_some(0),
            send_lag: self.send_lag.as_ref(),
            lost: checks.messages_unanswered + checks.messages_unsent,
            backlog_end: None,
        }
    }

    fn heavy(&self, load: &Load, seconds: f64) -> Option<HeavyResult> {
        let (shares, load) = self.heavy_shares.as_ref().zip(load.heavy)?;
        let messages = shares.iter().sum::<u64>();
        let per_second = messages as f64 / seconds.max(1e-9);
        let mean = messages as f64 / load.connections as f64;
        let by_mean = |share: Option<&u64>| Some(*share.filter(|_| messages > 0)? as f64 / mean);
        Some(HeavyResult {
            messages,
            messages_per_second: per_second,
            payload_bytes_per_second: per_second * load.message_bytes as f64,
            most_by_mean: by_mean(shares.iter().max()),
            least_by_mean: by_mean(shares.iter().min()),
        })
    }

    /// Counts a fault, and keeps its sentence if there are not too many.
    pub(super) fn add_fault(&mut self, sentence: String) {
        self.faults += 1;
        if self.checks.faults.len() < FAULTS_MAX {
            self.checks.faults.push(sentence);
        }
    }
}

/// Adds up what the threads counted, and to `series` what they had not handed over.
pub(super) fn gather(
    harvests: Vec<Harvest<Counts>>,
    mut series: Option<&mut Series<'_>>,
) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered::default();
    for Harvest { counts, fault } in harvests {
        let (tally, given_up) = (counts.tally, counts.given_up);
        if counts.heavy_shares.is_some() {
            gathered.heavy_shares = counts.heavy_shares;
        } else {
            if let Some(series) = &mut series {
                series.add(&tally.latency);
            }
            add(&mut gathered.uncorrected, tally.service)?;
            add(&mut gathered.send_lag, tally.lateness)?;
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
        checks.reconnects += counts.reconnects;
        checks.pings_unanswered += given_up.pings;
        checks.messages_unsent += given_up.unsent;
        let oldest_seconds = given_up.oldest_ns as f64 / 1e9;
        checks.oldest_unanswered_seconds = checks.oldest_unanswered_seconds.max(oldest_seconds);
        let wrong = tally.mismatches.into_iter().map(|(connection, mismatch)| {
            let failure = Failure::Mismatch(Box::new(mismatch));
            format!("connection {connection}: {failure}")
        });
        let room = FAULTS_MAX.saturating_sub(checks.mismatches.len());
        checks.mismatches.extend(wrong.take(room));
        fault
            .into_iter()
            .for_each(|fault| gathered.add_fault(fault));
    }
    Ok(gathered)
}

fn add(total: &mut Option<Histogram<u64>>, part: Option<Histogram<u64>>) -> anyhow::Result<()> {
    let Some(total) = total else {
        *total = part;
        return Ok(());
    };
    let added = part.map_or(Ok(()), |part| total.add(part));
    added.context("merging histograms")
}
