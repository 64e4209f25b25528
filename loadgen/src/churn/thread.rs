//! One thread of a storm: begins visits when there is room and, of an open storm, when they are due.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};

use super::Storm;
use super::findings::Findings;
use super::schedule::Share;
use crate::alarm::Alarm;
use crate::control::Phase;
use crate::load::pin;
use crate::session::crowd::{Crowd, Ended, Ready};
use crate::session::{Crew, Visit};

/// Longest wait for events: deadlines are noticed this late at most.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a closed storm begins nothing after a connection that could not be made: there is nobody
/// who would answer sooner, and the machine has better to do.
const REST_NS: u64 = 10_000_000;

const WAKE: u8 = 0;
const TIMER: u8 = 1;

/// One thread.
pub(super) struct Thread<'a> {
    storm: &'a Storm<'a>,
    line: usize,
    crew: Crew,
    crowd: Crowd,
    /// Of an open storm.
    share: Option<Share<'a>>,
    timer: Option<Alarm>,
    findings: Findings,
    /// Whether there was no room for another visit, and since when there is again.
    was_full: bool,
    roomy_since: u64,
    rests_until: u64,
    phase: Phase,
}

impl<'a> Thread<'a> {
    /// Storms until told otherwise; says what was found.
    pub(super) fn run(storm: &'a Storm<'a>, line: usize) -> anyhow::Result<Findings> {
        let control = &storm.control;
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        control.lines[line].thread_id.store(id, Ordering::Relaxed);
        let mut thread = Thread::new(storm, line)?;
        control.ready.fetch_add(1, Ordering::Release);
        control.news.ring();
        let result = thread.work();
        thread.findings.tls = thread.crew.tls.take();
        if result.is_err() || thread.findings.fault.is_some() {
            control.fail();
            // The thread's CPU account goes with it: stay until it has been read.
            thread.stay();
        }
        result.map(|()| thread.findings)
    }

    fn new(storm: &'a Storm<'a>, line: usize) -> anyhow::Result<Thread<'a>> {
        let options = storm.options;
        let threads = storm.control.lines.len();
        if let Some(cpus) = &options.cpu {
            pin(&[cpus.0[line % cpus.0.len()]]).context("pinning a thread")?;
        }
        let slots = |line| options.connections * line / threads;
        let crowd = Crowd::new(slots(line + 1) - slots(line)).context("creating an epoll set")?;
        crowd
            .watch(&storm.control.lines[line].wake, WAKE)
            .context("watching for the phase")?;
        let mut timer = None;
        if storm.schedule.is_some() {
            let created = Alarm::new().context("creating a timer")?;
            crowd.watch(&created, TIMER).context("watching a timer")?;
            timer = Some(created);
        }
        Ok(Thread {
            storm,
            line,
            crew: storm.crew(1 + line as u64),
            crowd,
            share: None,
            timer,
            findings: Findings::new(),
            was_full: false,
            roomy_since: 0,
            rests_until: 0,
            phase: Phase::Connect,
        })
    }

    fn work(&mut self) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.look();
            match self.phase {
                Phase::Connect => {}
                Phase::WarmUp | Phase::Measure => self.begin_visits(),
                Phase::Drain if self.crowd.len() == 0 => return Ok(()),
                Phase::Drain => {}
                Phase::Abandon => return Ok(()),
            }
            if self.findings.fault.is_some() {
                return Ok(());
            }
            let patience = self.patience()?;
            ready.clear();
            self.crowd
                .wait(patience, &mut ready)
                .context("waiting for events")?;
            for &event in &ready {
                match event {
                    Ready::Visit(slot) => {
                        let ended = self.crowd.advance(slot, &mut self.crew);
                        self.count(ended);
                    }
                    Ready::Sign(WAKE) => self.control_line().wake.hush(),
                    // The only failure is that it has been read.
                    Ready::Sign(_) => drop(
                        self.timer
                            .as_ref()
                            .map(|timer| rustix::io::read(timer, &mut [0u8; 8])),
                    ),
                }
            }
            let seconds = self.storm.options.visit_timeout.as_secs_f64();
            for ended in self.crowd.expire(self.crew.clock.now(), seconds) {
                self.count(Some(ended));
            }
        }
    }

    fn control_line(&self) -> &'a crate::control::Line {
        &self.storm.control.lines[self.line]
    }

    /// Looks at the phase.
    fn look(&mut self) {
        let control = &self.storm.control;
        let phase = control.phase();
        if phase == self.phase {
            return;
        }
        if self.phase == Phase::Connect
            && let Some(schedule) = &self.storm.schedule
        {
            let threads = control.lines.len();
            let random = self.crew.random();
            self.share = Some(schedule.share(self.line, threads, control.load_start(), random));
        }
        if self.phase < Phase::Drain && phase >= Phase::Drain {
            self.give_up();
        }
        self.phase = phase;
    }

    /// Counts what was due in the window and will not begin any more.
    fn give_up(&mut self) {
        let control = &self.storm.control;
        let (from, until) = (control.window_start(), control.window_end());
        let Some(share) = self.share.as_mut().filter(|_| from < until) else {
            return;
        };
        self.findings.backlog_end = share.backlog(until);
        for due in share.give_up(from, until, self.crew.random()) {
            let waited = until.saturating_sub(due).max(1);
            self.findings.visit.saturating_record(waited);
        }
    }

    /// Begins what there is room for.
    fn begin_visits(&mut self) {
        let visits_max = self.storm.options.visits.unwrap_or(u64::MAX);
        while self.crowd.room() > 0 && self.findings.fault.is_none() {
            let now = self.crew.clock.now();
            let is_full = self.storm.measured.load(Ordering::Relaxed) >= visits_max;
            if is_full || now < self.rests_until {
                break;
            }
            let mut due = now;
            if let Some(share) = &mut self.share {
                due = share.due();
                if due > now {
                    break;
                }
                share.advance(self.crew.random());
                self.time_begin(due, now);
            }
            self.begin(due);
        }
        self.was_full = self.crowd.room() == 0;
        let backlog = self.share.as_ref().map_or(0, |share| {
            let now = self.crew.clock.now();
            share.backlog(now)
        });
        self.storm.backlogs[self.line].store(backlog, Ordering::Relaxed);
    }

    /// Counts how late a visit begins, and whether that was for want of room.
    fn time_begin(&mut self, due: u64, now: u64) {
        if !self.counts(due) {
            return;
        }
        self.findings.late += u64::from(due < self.roomy_since);
        let since = due.max(self.roomy_since);
        let late = now.saturating_sub(since).max(1);
        self.findings.lateness.saturating_record(late);
    }

    fn begin(&mut self, due: u64) {
        let options = self.storm.options;
        let patience = options.visit_timeout.as_nanos() as u64;
        let ordinal = self.storm.next_ordinal.fetch_add(1, Ordering::Relaxed);
        let begun = Visit::begin(&self.crew, ordinal, Some(options.messages), due, patience);
        let ended = match begun {
            Ok(visit) => self.crowd.admit(visit),
            Err(ending) => Some(Ended {
                visit: None,
                how: Err(ending),
            }),
        };
        self.count(ended);
    }

    /// Whether what began, or was due, at `time` counts: nothing begins after the window.
    fn counts(&self, time: u64) -> bool {
        self.phase >= Phase::Measure && time >= self.storm.control.window_start()
    }

    /// Counts a visit that has ended, if one has.
    fn count(&mut self, ended: Option<Ended>) {
        let Some(ended) = ended else {
            return;
        };
        let now = self.crew.clock.now();
        if mem::take(&mut self.was_full) && self.crowd.room() > 0 {
            self.roomy_since = now;
        }
        if let Some(visit) = &ended.visit
            && self.counts(visit.times.due)
        {
            self.findings
                .time(&visit.times, ended.how.is_ok().then_some(now));
        }
        if self.phase >= Phase::Measure {
            self.findings.close(&ended);
        }
        match &ended.how {
            Ok(_) => self.count_good(),
            Err(ending) => {
                let unmade = ended.visit.as_ref().is_none_or(Visit::is_unconnected);
                if unmade && self.share.is_none() {
                    self.rests_until = now + REST_NS;
                }
                if !self.storm.options.tolerate {
                    let number = ended
                        .visit
                        .map_or(String::new(), |visit| format!(" {}", visit.ordinal));
                    let fault = format!("visit{number}: {}", ending.sentence);
                    self.findings.fault.get_or_insert(fault);
                }
            }
        }
    }

    fn count_good(&mut self) {
        self.findings.verified += 1;
        self.control_line()
            .messages
            .store(self.findings.verified, Ordering::Relaxed);
        if self.phase != Phase::Measure {
            return;
        }
        let visits_max = self.storm.options.visits.unwrap_or(u64::MAX);
        let number = self.storm.measured.fetch_add(1, Ordering::Relaxed);
        if number < visits_max {
            self.findings.visits += 1;
        }
        if number + 1 == visits_max {
            self.storm.control.news.ring();
        }
    }

    /// How long to wait for events at most; sets the timer if something is due before.
    fn patience(&self) -> anyhow::Result<Duration> {
        let begins = matches!(self.phase, Phase::WarmUp | Phase::Measure);
        if !begins || self.crowd.room() == 0 {
            return Ok(PATIENCE);
        }
        let now = self.crew.clock.now();
        if now < self.rests_until {
            return Ok(Duration::from_nanos(self.rests_until - now).min(PATIENCE));
        }
        let (Some(share), Some(timer)) = (&self.share, &self.timer) else {
            return Ok(PATIENCE);
        };
        let left = Duration::from_nanos(share.due().saturating_sub(now).max(1));
        if left < PATIENCE {
            timer.set(left).context("setting a timer")?;
        }
        Ok(left.min(PATIENCE))
    }

    /// Waits until the window is closed.
    fn stay(&self) {
        let wake = &self.control_line().wake;
        while self.storm.control.phase() < Phase::Drain {
            // A failed wait only means looking again.
            if poll(&mut [PollFd::new(wake, PollFlags::IN)], None).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
            wake.hush();
        }
    }
}
