//! One thread of churn: begins sessions when there is room and, in an open loop, when they are due.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Churn;
use super::findings::Findings;
use super::schedule::Share;
use crate::alarm::Alarm;
use crate::control::{Line, Phase};
use crate::fault::Fault;
use crate::load::{Harvest, settle};
use crate::session::crowd::{Crowd, Ended, Ready};
use crate::session::{Crew, Session, Task};

/// Longest wait for events: deadlines are noticed this late at most.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a closed loop begins nothing after a connection that could not be made: there is nobody
/// who would answer sooner, and the machine has better to do.
const REST_NS: u64 = 10_000_000;

const WAKE: u8 = 0;
const TIMER: u8 = 1;

/// What could not be done, and is the thread's end.
fn while_doing(what: &'static str) -> impl Fn(io::Error) -> Fault {
    move |error| Fault::engine(what, error)
}

/// One thread.
pub(super) struct Thread<'a> {
    churn: &'a Churn,
    line: usize,
    crew: Crew,
    crowd: Crowd,
    /// Of an open loop.
    share: Option<Share<'a>>,
    timer: Alarm,
    findings: Findings,
    /// Whether there was no room for another session, and since when there is again.
    was_full: bool,
    roomy_since: u64,
    rests_until: u64,
    phase: Phase,
    slice: u32,
}

impl<'a> Thread<'a> {
    /// Has sessions until told otherwise; says what was found.
    pub(super) fn work(churn: &'a Churn, line: usize) -> Harvest<Findings> {
        let mut counts = Findings::new();
        let served = Thread::new(churn, line).and_then(|mut thread| {
            churn.control.ready.fetch_add(1, Ordering::Release);
            churn.control.news.ring();
            let served = thread.serve();
            counts = thread.findings;
            counts.tls = thread.crew.tls;
            served
        });
        let failed = served.err().map(|fault| fault.to_string());
        let fault = failed.or(counts.fault.take());
        Harvest { counts, fault }
    }

    fn new(churn: &'a Churn, line: usize) -> Result<Thread<'a>, Fault> {
        let (options, control) = (&churn.options, &churn.control);
        settle(control, line, &options.place.cpus())?;
        let threads = control.lines.len();
        let slots = |line| options.load.connections * line / threads;
        let crowd = Crowd::new(slots(line + 1) - slots(line));
        let crowd = crowd.map_err(while_doing("creating an epoll set"))?;
        let watching = while_doing("watching a descriptor");
        crowd.watch(&control.wakes[line], WAKE).map_err(&watching)?;
        let timer = Alarm::new().map_err(while_doing("creating a timer"))?;
        crowd.watch(&timer, TIMER).map_err(&watching)?;
        Ok(Thread {
            churn,
            line,
            crew: churn.crew(1 + line as u64),
            crowd,
            share: None,
            timer,
            findings: Findings::new(),
            was_full: false,
            roomy_since: 0,
            rests_until: 0,
            phase: Phase::Connect,
            slice: 0,
        })
    }

    fn serve(&mut self) -> Result<(), Fault> {
        let mut ready = Vec::new();
        loop {
            self.look();
            match self.phase {
                Phase::Connect => {}
                Phase::WarmUp | Phase::Measure => self.begin_sessions(),
                Phase::Drain if self.crowd.len() == 0 => return Ok(()),
                // After a failure nobody is waited for.
                Phase::Drain if self.churn.control.failed.load(Ordering::Acquire) => return Ok(()),
                Phase::Drain => {}
                Phase::Abandon => return Ok(()),
            }
            if self.findings.fault.is_some() {
                return Ok(());
            }
            let patience = self.patience()?;
            ready.clear();
            let waited = self.crowd.wait(patience, &mut ready);
            waited.map_err(while_doing("waiting for events"))?;
            for &event in &ready {
                match event {
                    Ready::Session(slot) => {
                        let ended = self.crowd.advance(slot, &mut self.crew);
                        self.count(ended);
                    }
                    Ready::Sign(WAKE) => self.churn.control.wakes[self.line].hush(),
                    Ready::Sign(_) => self.timer.hush(),
                }
            }
            let seconds = self.churn.options.session_timeout.as_secs_f64();
            for ended in self.crowd.expire(&mut self.crew, seconds) {
                self.count(Some(ended));
            }
        }
    }

    fn own_line(&self) -> &'a Line {
        &self.churn.control.lines[self.line]
    }

    /// Looks at the phase, and hands over what was counted in a slice that is over.
    fn look(&mut self) {
        let control = &self.churn.control;
        let slice = control.slice();
        if slice != self.slice {
            self.slice = slice;
            let (now, in_flight) = (self.crew.clock.now(), self.crowd.len() as u64);
            let share = self.share.as_ref();
            let backlog = share.map_or(0, |share| share.backlog(now));
            let line = self.own_line();
            line.hand_over(&mut self.findings.session, backlog, in_flight);
        }
        let phase = control.phase();
        if phase == self.phase {
            return;
        }
        if self.phase == Phase::Connect
            && let Some(schedule) = &self.churn.schedule
        {
            let threads = control.lines.len();
            let random = self.crew.random();
            let start = control.load_start();
            self.share = Some(Share::new(schedule, self.line, threads, start, random));
        }
        if self.phase < Phase::Drain && phase >= Phase::Drain {
            self.give_up();
        }
        self.phase = phase;
    }

    /// Counts what was due in the window and will not begin any more.
    fn give_up(&mut self) {
        let control = &self.churn.control;
        let (from, until) = (control.window_start(), control.window_end());
        let Some(share) = self.share.as_mut().filter(|_| from < until) else {
            return;
        };
        self.findings.backlog_end = share.backlog(until);
        for due in share.give_up(from, until, self.crew.random()) {
            let waited = until.saturating_sub(due).max(1);
            self.findings.session.saturating_record(waited);
        }
    }

    /// Begins what there is room for.
    fn begin_sessions(&mut self) {
        while self.crowd.room() > 0 && self.findings.fault.is_none() {
            let now = self.crew.clock.now();
            if self.churn.is_over() || now < self.rests_until {
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
            let options = &self.churn.options;
            let patience = options.session_timeout.as_nanos() as u64;
            let ordinal = self.churn.next_ordinal.fetch_add(1, Ordering::Relaxed);
            let task = Task::Talk(options.messages);
            let ended = self.crowd.begin(&self.crew, ordinal, task, due, patience);
            self.count(ended);
        }
        self.was_full = self.crowd.room() == 0;
    }

    /// Counts how late a session begins, and whether that was for want of room.
    fn time_begin(&mut self, due: u64, now: u64) {
        if !self.counts(due) {
            return;
        }
        self.findings.late += u64::from(due < self.roomy_since);
        let since = due.max(self.roomy_since);
        let late = now.saturating_sub(since).max(1);
        self.findings.send_lag.saturating_record(late);
        let line = self.own_line();
        line.send_lag_ns.fetch_max(late, Ordering::Relaxed);
    }

    /// Whether what began, or was due, at `time` counts: nothing begins after the window.
    fn counts(&self, time: u64) -> bool {
        self.phase >= Phase::Measure && time >= self.churn.control.window_start()
    }

    /// Counts a session that has ended, if one has.
    fn count(&mut self, ended: Option<Ended>) {
        let Some(ended) = ended else {
            return;
        };
        let now = self.crew.clock.now();
        if mem::take(&mut self.was_full) && self.crowd.room() > 0 {
            self.roomy_since = now;
        }
        if let Some(session) = &ended.session
            && self.counts(session.times.due)
        {
            self.findings
                .time(&session.times, ended.how.is_ok().then_some(now));
        }
        if self.phase >= Phase::Measure {
            self.findings.close(&ended);
        }
        match &ended.how {
            Ok(_) => {
                self.findings.verified += 1;
                // Not by what was seen last: the edges of the window count, too.
                if self.churn.control.phase() == Phase::Measure {
                    self.churn.count(self.line);
                }
            }
            Err(ending) => {
                self.own_line().errors.fetch_add(1, Ordering::Relaxed);
                let unmade = ended.session.as_ref().is_none_or(Session::is_unconnected);
                if unmade && self.share.is_none() {
                    self.rests_until = now + REST_NS;
                }
                if !self.churn.options.keep_going {
                    let number = ended
                        .session
                        .map_or(String::new(), |session| format!(" {}", session.ordinal));
                    let fault = format!("session{number}: {ending}");
                    self.findings.fault.get_or_insert(fault);
                }
            }
        }
    }

    /// How long to wait for events at most; sets the timer if something is due before.
    fn patience(&self) -> Result<Duration, Fault> {
        let begins = matches!(self.phase, Phase::WarmUp | Phase::Measure);
        if !begins || self.crowd.room() == 0 {
            return Ok(PATIENCE);
        }
        let now = self.crew.clock.now();
        if now < self.rests_until {
            return Ok(Duration::from_nanos(self.rests_until - now).min(PATIENCE));
        }
        let Some(share) = &self.share else {
            return Ok(PATIENCE);
        };
        let left = Duration::from_nanos(share.due().saturating_sub(now).max(1));
        if left < PATIENCE {
            self.timer
                .set(left)
                .map_err(while_doing("setting a timer"))?;
        }
        Ok(left.min(PATIENCE))
    }
}
