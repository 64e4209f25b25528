//! The one conductor: it leads the threads of any kind of work through connect, warm-up, the window in slices and
//! the drain, while signals and failures are waited for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::options::{Schedule, TimingArgs};
use super::series::{Series, slice_length};
use super::unix_seconds;
use super::window::Observed;
use crate::alarm;
use crate::control::{Control, Phase};
use crate::interrupt::{Interrupt, Interrupted, Woken};
use crate::live::Live;
use crate::load::{Harvest, join, start};
use crate::observe::process::{Memory, family_memory};
use crate::output::tell;
use crate::result::Status;

/// A wait that ends by news or a signal.
const LONG: Duration = Duration::from_secs(3600);

/// How often the main thread looks at threads that should be coming to their end.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// How long what is under way when the window closes may take to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the beginning of the load until the first reply: a server that never answers is not waited for.
    pub(crate) first: Duration,
    /// Without anything being over meanwhile.
    pub(crate) silence: Duration,
    /// In all.
    pub(crate) whole: Duration,
}

/// What the conductor goes by.
pub(crate) struct Conductor<'a> {
    pub(crate) control: &'a Arc<Control>,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) observed: &'a Observed,
    pub(crate) timing: &'a TimingArgs,
    /// Of an open loop.
    pub(crate) schedule: Option<&'a Schedule>,
    /// Connections that are made before the load begins.
    pub(crate) connections: usize,
    pub(crate) drain: Patience,
    /// Where a log of the slices goes, if it is wanted.
    pub(crate) hdr_log: Option<&'a Path>,
    /// Seconds since 1970.
    pub(crate) start_at: Option<f64>,
    pub(crate) live: Live,
}

/// How the work went, as far as the main thread saw it.
#[derive(Default)]
pub(crate) struct Course<'a> {
    /// The window, if it opened.
    pub(crate) series: Option<Series<'a>>,
    /// The server's memory at its end.
    pub(crate) memory: Option<Memory>,
    pub(crate) interrupted: bool,
    /// How the window ended, if it opened.
    pub(crate) window: Option<Stretch>,
    /// Whether replies were still coming in when the last were given up.
    pub(crate) was_draining: bool,
}

impl Course<'_> {
    /// What was completed within the window.
    pub(crate) fn completed(&self) -> u64 {
        let series = self.series.as_ref();
        series.map_or(0, |series| series.window().messages)
    }

    /// Whether the window opened and there is a process of the server no more.
    pub(crate) fn has_lost_server(&self) -> bool {
        self.series.as_ref().is_some_and(Series::has_lost_server)
    }
}

/// How work ended that a sentence says the failure of, if it failed.
pub(crate) fn ending(failure: Option<String>) -> (Status, Option<String>) {
    let is_well = failure.is_none();
    (if is_well { Status::Ok } else { Status::Failed }, failure)
}

/// How a stretch of it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    Complete,
    Failed,
    Interrupted,
}

impl<'a> Conductor<'a> {
    /// Starts a thread for each line that does `work`, and conducts the work to its end. What the threads leave
    /// behind belongs to the window only as far as they had handed it over.
    pub(crate) fn conduct<T: Send + 'static>(
        mut self,
        work: impl Fn(usize) -> Harvest<T> + Send + Sync + 'static,
    ) -> anyhow::Result<(Course<'a>, Vec<Harvest<T>>)> {
        let threads = start(self.control, work).context("starting a thread")?;
        // Beside heavy connections, who goes last may wait for a CPU until long after the window should end.
        let is_alone = self.control.lines.len() == self.control.measured().len();
        let is_polite = self.schedule.is_some() && is_alone;
        // There is no way back to a higher priority: so a thread of its own goes last.
        let led = std::thread::scope(|scope| {
            let leading = scope.spawn(|| {
                if is_polite {
                    alarm::yield_to_others();
                }
                self.lead()
            });
            leading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        self.live.finish();
        let mut course = led?;
        let harvests = join(threads)?;
        if let Some(series) = &mut course.series {
            series.collect();
        }
        Ok((course, harvests))
    }

    fn lead(&mut self) -> anyhow::Result<Course<'a>> {
        let mut course = Course::default();
        match self.connect()? {
            Stretch::Complete => self.control.start_load(),
            // The threads may sit in a connect; the process ends without them.
            Stretch::Interrupted => return Err(Interrupted.into()),
            Stretch::Failed => {
                self.wind_up(Phase::Abandon, &mut course)?;
                return Ok(course);
            }
        }
        let mut ended = self.stretch("warm-up", self.timing.warmup)?;
        if ended == Stretch::Complete {
            let timeline = self.schedule.map(|(timeline, _)| &**timeline);
            let mut series = Series::open(self.control, self.observed, timeline, self.hdr_log);
            ended = self.measure(&mut series)?;
            series.close();
            course.memory = family_memory(&self.observed.server_pids).ok();
            course.window = Some(ended);
            course.series = Some(series);
        }
        course.interrupted = ended == Stretch::Interrupted;
        self.wind_up(Phase::Drain, &mut course)?;
        Ok(course)
    }

    /// Waits until all connections stand, and it is time to begin.
    fn connect(&mut self) -> anyhow::Result<Stretch> {
        while self.control.ready.load(Ordering::Acquire) < self.control.parties {
            if let Some(end) = self.wait(self.next_look())? {
                return Ok(end);
            }
            let connected = self.control.standing.count();
            self.live.connecting(connected, self.connections);
        }
        self.await_start()
    }

    /// Waits for the time at which several machines begin together.
    fn await_start(&mut self) -> anyhow::Result<Stretch> {
        let Some(start_at) = self.start_at else {
            return Ok(Stretch::Complete);
        };
        let now = unix_seconds();
        if start_at < now {
            let late = now - start_at;
            tell(format_args!(
                "ringload: the connections stood {late:.1} s after --start-at: the load begins late"
            ));
        }
        let left = Duration::try_from_secs_f64(start_at - now).unwrap_or_default();
        self.stretch("waiting", left)
    }

    /// When to show next how it goes.
    fn next_look(&self) -> Instant {
        Instant::now() + self.live.tick().unwrap_or(LONG)
    }

    /// Lets the load run for `length`.
    fn stretch(&mut self, stage: &'static str, length: Duration) -> anyhow::Result<Stretch> {
        let start = Instant::now();
        let end = start + length;
        while Instant::now() < end {
            if let Some(ended) = self.wait(end.min(self.next_look()))? {
                return Ok(ended);
            }
            let share = start.elapsed().as_secs_f64() / length.as_secs_f64();
            self.live.stage(stage, share);
        }
        Ok(Stretch::Complete)
    }

    /// Lets the load run and count, slice by slice.
    fn measure(&mut self, series: &mut Series<'_>) -> anyhow::Result<Stretch> {
        self.live.stage("measuring", 0.0);
        let start = Instant::now();
        let duration = self.timing.duration();
        let end = start + duration;
        let slice = slice_length(duration);
        let mut next_slice = start + slice;
        loop {
            // The last slice ends with the window.
            let is_last = next_slice + slice / 2 > end;
            let edge = if is_last { end } else { next_slice };
            while Instant::now() < edge {
                if let Some(ended) = self.wait(edge)? {
                    return Ok(ended);
                }
            }
            if is_last {
                return Ok(Stretch::Complete);
            }
            series.end_slice();
            next_slice += slice;
            let share = start.elapsed().as_secs_f64() / duration.as_secs_f64();
            self.live.slice(share, &series.slices, &series.latest);
        }
    }

    /// Waits until `until` or news; says so if something ended the stretch.
    fn wait(&self, until: Instant) -> anyhow::Result<Option<Stretch>> {
        let woken = self.interrupt.wait(&self.control.news, until)?;
        Ok(if woken == Woken::Interrupted {
            Some(Stretch::Interrupted)
        } else if self.control.failed.load(Ordering::Acquire) {
            Some(Stretch::Failed)
        } else if self.control.is_complete.load(Ordering::Acquire) {
            Some(Stretch::Complete)
        } else {
            None
        })
    }

    /// Messages that have their reply, right or wrong, those of heavy connections too.
    fn replies(&self) -> u64 {
        let lines = self.control.lines.iter();
        let counters = lines.flat_map(|line| [&line.messages, &line.wrong]);
        counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }

    /// Stops the load and waits while replies come in; threads that do not finish in time are told to
    /// leave.
    fn wind_up(&self, phase: Phase, course: &mut Course<'_>) -> anyhow::Result<()> {
        if phase > self.control.phase() {
            self.control.advance(phase);
        }
        self.live.stage("draining", 0.0);
        let began = Instant::now();
        let threads = self.control.lines.len();
        let (mut replies, mut progressed) = (self.replies(), began);
        let now = self.control.clock.now();
        let loaded = Duration::from_nanos(now.saturating_sub(self.control.load_start()));
        // How long nothing may be over.
        let mut silence = match replies {
            0 => self.drain.first.saturating_sub(loaded),
            _ => self.drain.silence,
        };
        while self.control.ended.load(Ordering::Acquire) < threads
            && progressed.elapsed() < silence
            && began.elapsed() < self.drain.whole
        {
            let next = Instant::now() + DRAIN_LOOK.min(silence);
            if self.interrupt.wait(&self.control.news, next)? == Woken::Interrupted {
                // The first signal ended the measuring, and stays readable: do not spin on it, and give
                // what is under way a moment.
                std::thread::sleep(DRAIN_LOOK);
                if !course.interrupted || began.elapsed() > 10 * DRAIN_LOOK {
                    course.interrupted = true;
                    break;
                }
            }
            if self.replies() > replies {
                (replies, progressed) = (self.replies(), Instant::now());
                silence = self.drain.silence;
            }
        }
        course.was_draining = progressed.elapsed() < silence;
        self.control.advance(Phase::Abandon);
        Ok(())
    }
}
