//! What a thread, and then all of them together, found.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::echo::tally::latency_histogram;
use crate::result::figures::{Closes, FailureKind};
use crate::session::Times;
use crate::session::crowd::Ended;
use crate::session::ending::{Cut, Farewell};

/// Most kinds of failures told apart.
const FAILURE_KINDS_MAX: usize = 20;

/// What stands for all the others.
const FURTHER: &str = "(further kinds)";

/// Counts of churn.
pub(super) struct Findings {
    /// Nanoseconds from the connect to the connection.
    pub(super) connect: Histogram<u64>,
    /// From there to the open WebSocket.
    pub(super) handshake: Histogram<u64>,
    /// Those of them that resumed a TLS session.
    pub(super) handshake_resumed: Histogram<u64>,
    /// From the first message's send to its reply.
    pub(super) first_echo: Histogram<u64>,
    /// The whole session, from when it was due. Taken away slice by slice.
    pub(super) session: Histogram<u64>,
    /// Of an open loop: how late the generator took up what was due and had room.
    pub(super) send_lag: Histogram<u64>,
    /// Sessions that ended well, warm-up included.
    pub(super) verified: u64,
    /// Sessions due in the window that had to wait until another had ended.
    pub(super) late: u64,
    /// Sessions due in the window that never began.
    pub(super) backlog_end: u64,
    /// From the opening of the window on.
    pub(super) closes: Closes,
    /// From the opening of the window on.
    pub(super) failed: u64,
    /// How many of these there were of each kind.
    kinds: BTreeMap<String, u64>,
    /// What TLS agreed on.
    pub(super) tls: Option<String>,
    /// Why it could not go on.
    pub(super) fault: Option<String>,
}

impl Findings {
    /// Nothing yet.
    pub(super) fn new() -> Findings {
        Findings {
            connect: latency_histogram(),
            handshake: latency_histogram(),
            handshake_resumed: latency_histogram(),
            first_echo: latency_histogram(),
            session: latency_histogram(),
            send_lag: latency_histogram(),
            verified: 0,
            late: 0,
            backlog_end: 0,
            closes: Closes::default(),
            failed: 0,
            kinds: BTreeMap::new(),
            tls: None,
            fault: None,
        }
    }

    /// Counts how a session ended. Its `times` count if it was due in the window.
    pub(super) fn close(&mut self, ended: &Ended) {
        let closes = &mut self.closes;
        let closed = match &ended.how {
            Ok(Farewell::Orderly) => &mut closes.orderly,
            Ok(Farewell::Reset) => &mut closes.reset,
            Err(ending) => match ending.cut {
                Cut::Reset => &mut closes.reset,
                Cut::EndOfStream => &mut closes.end_of_stream_without_close,
                Cut::Other => &mut closes.other,
            },
        };
        *closed += 1;
        if let Err(ending) = &ended.how {
            self.failed += 1;
            self.count_kind(&ending.to_string(), 1);
        }
    }

    /// Counts the phases that a session came through by `now`, and the whole of one that is over.
    pub(super) fn time(&mut self, times: &Times, over: Option<u64>) {
        let took = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?).max(1));
        let handshake = took(times.connected, times.opened);
        let handshake = handshake.filter(|_| times.opened != times.connected);
        let resumed = handshake.filter(|_| times.is_resumed);
        for (histogram, took) in [
            (&mut self.connect, took(Some(times.began), times.connected)),
            (&mut self.handshake, handshake),
            (&mut self.handshake_resumed, resumed),
            (&mut self.first_echo, took(times.asked, times.answered)),
            (&mut self.session, took(Some(times.due), over)),
        ] {
            took.into_iter()
                .for_each(|took| histogram.saturating_record(took));
        }
    }

    fn count_kind(&mut self, sentence: &str, count: u64) {
        let told = self.kinds.keys().filter(|kind| *kind != FURTHER).count();
        let is_told = told < FAILURE_KINDS_MAX || self.kinds.contains_key(sentence);
        let kind = if is_told { sentence } else { FURTHER };
        *self.kinds.entry(kind.to_owned()).or_default() += count;
    }

    /// The failures by kind, the most frequent first.
    pub(super) fn failures(&self) -> Vec<FailureKind> {
        let kind = |(sentence, &count): (&String, &u64)| FailureKind {
            sentence: sentence.clone(),
            count,
        };
        let mut failures: Vec<FailureKind> = self.kinds.iter().map(kind).collect();
        failures.sort_by_key(|kind| (kind.sentence == FURTHER, Reverse(kind.count)));
        failures
    }

    /// Adds what another thread found, but for the whole sessions: those are handed over.
    pub(super) fn add(&mut self, other: Findings) {
        for (mine, its) in [
            (&mut self.connect, &other.connect),
            (&mut self.handshake, &other.handshake),
            (&mut self.handshake_resumed, &other.handshake_resumed),
            (&mut self.first_echo, &other.first_echo),
            (&mut self.send_lag, &other.send_lag),
        ] {
            mine.add(its).expect("all histograms have the same bounds");
        }
        self.verified += other.verified;
        self.late += other.late;
        self.backlog_end += other.backlog_end;
        self.closes.add(other.closes);
        self.failed += other.failed;
        for (sentence, count) in &other.kinds {
            self.count_kind(sentence, *count);
        }
        self.tls = self.tls.take().or(other.tls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ending::Ending;

    fn failed(sentence: String) -> Ended {
        Ended {
            session: None,
            how: Err(Ending::timed_out(sentence)),
        }
    }

    #[test]
    fn no_more_than_twenty_kinds_are_told_apart_and_none_is_lost() {
        let mut findings = Findings::new();
        for number in 0..30 {
            findings.close(&failed(format!("kind {number}")));
        }
        let mut other = Findings::new();
        for _ in 0..5 {
            other.close(&failed("kind 3".to_owned()));
            other.close(&failed("kind 77".to_owned()));
        }
        findings.add(other);
        let failures = findings.failures();
        assert_eq!(failures.len(), FAILURE_KINDS_MAX + 1);
        assert_eq!(
            (failures[0].sentence.as_str(), failures[0].count),
            ("kind 3", 6)
        );
        let counted: u64 = failures.iter().map(|kind| kind.count).sum();
        assert_eq!((counted, findings.failed), (40, 40));
        assert_eq!(findings.closes.other, 40);
    }

    #[test]
    fn phases_are_apart_and_the_session_counts_from_when_it_was_due() {
        let mut findings = Findings::new();
        let times = Times {
            due: 100,
            began: 1000,
            connected: Some(1010),
            opened: Some(1030),
            asked: Some(1035),
            answered: Some(1075),
            is_resumed: false,
        };
        findings.time(&times, Some(1100));
        let took = [
            findings.connect.max(),
            findings.handshake.max(),
            findings.first_echo.max(),
            findings.session.max(),
        ];
        assert_eq!(took, [10, 20, 40, 1000]);
    }
}
