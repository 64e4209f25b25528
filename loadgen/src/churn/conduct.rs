//! The course of a storm: the first visit, warm-up, window, drain.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::Storm;
use super::findings::Findings;
use super::thread::Thread;
use crate::control::Phase;
use crate::interrupt::{Interrupt, Woken};
use crate::observe::others::Others;
use crate::progress::{Progress, TICK};
use crate::quantity::grouped;
use crate::run::window::{Snapshot, Window, cpus_of_both, others_between};
use crate::session::scout::{Scouted, scout};

/// How often an open storm's backlog is looked at.
const BACKLOG_LOOK: Duration = Duration::from_millis(50);

/// A wait that ends by news or a signal.
const LONG: Duration = Duration::from_secs(3600);

/// How much longer than a visit may take the drain may, before threads are told to leave.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How a storm went.
pub(super) struct Course {
    pub(super) findings: Findings,
    pub(super) window: Option<Window>,
    /// When the window opened, in seconds since 1970.
    pub(super) window_start_unix_seconds: f64,
    /// Visits that were due within the window; `None` if the storm is closed.
    pub(super) offered: Option<f64>,
    pub(super) backlog_max: u64,
    /// What others used meanwhile of the CPUs of both sides, and how many CPUs either side may use.
    pub(super) others: Option<Others>,
    pub(super) cpus: (usize, usize),
    pub(super) interrupted: bool,
}

/// How a stretch of the storm ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Complete,
    Failed,
    Interrupted,
}

/// Counts a thread that has ended, however it did.
struct Leaver<'a>(&'a Storm<'a>);

impl Drop for Leaver<'_> {
    fn drop(&mut self) {
        let control = &self.0.control;
        control.ended.fetch_add(1, Ordering::Release);
        control.news.ring();
    }
}

impl Storm<'_> {
    /// Storms as asked; errors are those that left nothing to report.
    pub(super) fn conduct(&self, interrupt: &Interrupt) -> anyhow::Result<Course> {
        let mut course = Course {
            findings: Findings::new(),
            window: None,
            window_start_unix_seconds: 0.0,
            offered: None,
            backlog_max: 0,
            others: None,
            cpus: (0, 0),
            interrupted: false,
        };
        let routes = self.dialer.routes();
        let first = self.next_ordinal.fetch_add(routes, Ordering::Relaxed);
        match scout(self.crew(0), first, true, interrupt.as_fd())? {
            Scouted::Open(tls) => course.findings.tls = tls,
            Scouted::Failed(..) if self.options.tolerate => {}
            Scouted::Failed(ordinal, failure) => {
                course.findings.fault = Some(format!("visit {ordinal}: {failure}"));
                return Ok(course);
            }
            Scouted::Stopped => {
                course.interrupted = true;
                return Ok(course);
            }
        }
        self.storm(interrupt, &mut course)?;
        Ok(course)
    }

    fn storm(&self, interrupt: &Interrupt, course: &mut Course) -> anyhow::Result<()> {
        let progress = Progress::new(self.options.output.quiet);
        let found = thread::scope(|scope| -> anyhow::Result<Vec<Findings>> {
            let threads: Vec<_> = (0..self.control.lines.len())
                .map(|line| {
                    scope.spawn(move || {
                        let _leaver = Leaver(self);
                        Thread::run(self, line)
                    })
                })
                .collect();
            let steered = self.steer(interrupt, &progress, course);
            self.control.advance(Phase::Abandon);
            let found = threads.into_iter().map(|thread| {
                let found = thread.join();
                found.map_err(|_| anyhow!("a thread of the storm panicked"))?
            });
            let found: anyhow::Result<Vec<Findings>> = found.collect();
            steered.and(found)
        })?;
        progress.finish();
        found
            .into_iter()
            .for_each(|findings| course.findings.add(findings));
        Ok(())
    }

    /// Leads the threads through the phases.
    fn steer(
        &self,
        interrupt: &Interrupt,
        progress: &Progress,
        course: &mut Course,
    ) -> anyhow::Result<()> {
        let control = &self.control;
        while control.ready.load(Ordering::Acquire) < control.lines.len() {
            if control.ended.load(Ordering::Acquire) > 0 {
                // It could not be set up; its error is handed over when it is joined.
                return Ok(());
            }
            let woken = interrupt.wait(&control.news, Instant::now() + LONG)?;
            if woken == Woken::Interrupted {
                course.interrupted = true;
                return Ok(());
            }
        }
        control.start_load();
        let mut sink = 0;
        let warm_up = self.options.warmup;
        let before = self.stretch("warm-up", warm_up, interrupt, progress, &mut sink)?;
        if before != Stretch::Complete {
            course.interrupted = before == Stretch::Interrupted;
            return Ok(());
        }
        let from = Snapshot::take(control, &self.observed);
        control.open_window(from.at);
        let duration = self.options.duration();
        let backlog_max = &mut course.backlog_max;
        let measured = self.stretch("measuring", duration, interrupt, progress, backlog_max)?;
        let to = Snapshot::take(control, &self.observed);
        control.close_window(to.at);
        course.interrupted = measured == Stretch::Interrupted;
        course.window = Some(Window::between(control, &from, &to));
        let (generator, server) = cpus_of_both(control, &self.observed);
        course.cpus = (generator.len(), server.len());
        course.others = others_between(&self.observed, &(&generator | &server), &from, &to);
        course.window_start_unix_seconds = from.unix_seconds;
        let began = control.load_start();
        course.offered = self.schedule.as_ref().map(|schedule| {
            schedule.due_between(from.at.saturating_sub(began), to.at.saturating_sub(began))
        });
        if measured == Stretch::Complete {
            self.drain(interrupt)?;
        }
        Ok(())
    }

    /// Lets the storm run for `length`, or until it has had its visits.
    fn stretch(
        &self,
        stage: &'static str,
        length: Duration,
        interrupt: &Interrupt,
        progress: &Progress,
        backlog_max: &mut u64,
    ) -> anyhow::Result<Stretch> {
        let control = &self.control;
        let start = Instant::now();
        let visits_max = self.options.visits.unwrap_or(u64::MAX);
        let tick = match (&self.schedule, progress.is_shown()) {
            (Some(_), _) => BACKLOG_LOOK,
            (None, true) => TICK,
            (None, false) => LONG,
        };
        let mut last = (start, self.visits());
        while start.elapsed() < length {
            let left = length.saturating_sub(start.elapsed());
            let woken = interrupt.wait(&control.news, Instant::now() + left.min(tick))?;
            if woken == Woken::Interrupted {
                return Ok(Stretch::Interrupted);
            }
            if control.failed.load(Ordering::Acquire) {
                return Ok(Stretch::Failed);
            }
            if self.measured.load(Ordering::Relaxed) >= visits_max {
                break;
            }
            let backlogs = self.backlogs.iter();
            let backlog: u64 = backlogs.map(|it| it.load(Ordering::Relaxed)).sum();
            *backlog_max = backlog.max(*backlog_max);
            if last.0.elapsed() >= TICK {
                let visits = self.visits();
                let rate = (visits - last.1) as f64 / last.0.elapsed().as_secs_f64();
                last = (Instant::now(), visits);
                let share = start.elapsed().as_secs_f64() / length.as_secs_f64();
                let mut message = format!("{} visits/s", grouped(rate as u64));
                if backlog > 0 {
                    message += &format!(", {} waiting", grouped(backlog));
                }
                progress.show(stage, share, message);
            }
        }
        Ok(Stretch::Complete)
    }

    fn visits(&self) -> u64 {
        self.control.total(|line| &line.messages)
    }

    /// Lets the visits under way come to their end, or to their deadline.
    fn drain(&self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let control = &self.control;
        let deadline = Instant::now() + self.options.visit_timeout + DRAIN_GRACE;
        while control.ended.load(Ordering::Acquire) < control.lines.len()
            && Instant::now() < deadline
        {
            if interrupt.wait(&control.news, deadline)? == Woken::Interrupted {
                break;
            }
        }
        Ok(())
    }
}
