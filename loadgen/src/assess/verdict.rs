//! Who was the limit: a number without this is not a result.
//!
//! The rules go from what spoils everything to what spoils nothing: what failed is invalid; a generator
//! without CPU time is the limit, whatever else there was; others on the CPUs make a run noisy; a
//! schedule that was not held has its cause on one of the two sides; halves that disagree are noise;
//! and only then is asked whether the server had anything left.

use serde::{Deserialize, Serialize};

use crate::observe::others::Others;
use crate::observe::process::TaskTime;
use crate::quantity::known;

/// A thread on a CPU for this share of the window has nothing left to give: what is missing are the
/// moments between a message's end and the next one's arrival.
const SATURATED_PERCENT: f64 = 95.0;

/// A generator below this share of its CPU that is late all the same was kept from it by somebody whom no
/// account names: a hypervisor that does not report what it withholds, or the kernel.
const NEARLY_SATURATED_PERCENT: f64 = 80.0;

/// A side that waited for a CPU for this share of the window had to share it.
const SHARED_PERCENT: f64 = 5.0;

/// A thread counts as a worker if it used at least this share of what the busiest of its side did;
/// the rest (signal handlers, garbage collectors, idle pools) says nothing about saturation.
const WORKER_SHARE: f64 = 0.2;

/// CPU time that the hypervisor withheld of the CPUs of both sides, in percent of theirs, from which on a
/// run is noisy.
const STEAL_PERCENT: f64 = 2.0;

/// CPU time that others used on the CPUs of both sides, in percent of one, from which on a run is
/// noisy.
const OTHERS_PERCENT: f64 = 5.0;

/// Share of what was offered that may be left over before a schedule was not held, and a number of
/// messages that always may: those on their way.
const MISSED_SHARE: f64 = 0.01;
const MISSED_MESSAGES: f64 = 10.0;

/// How late the generator may be with one message in a thousand before it is said that it cannot hold
/// the schedule.
pub const LATENESS_NS_MAX: u64 = 200_000;

/// Lateness below this share of the latency at the same quantile does not make that latency the
/// generator's.
const LATENESS_SHARE: f64 = 0.1;

/// Windows shorter than this know CPU shares to some percent only: each account is exact to a tick.
const SECONDS_MIN: f64 = 1.0;

/// What a number is worth, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The server had nothing left, or did not keep up, and the generator had: the figures are the
    /// server's.
    ServerBound,
    /// The generator had nothing left: throughput is a lower bound; CPU per message holds.
    GeneratorBound,
    /// Both had time left: the load that was asked for set the pace.
    LoadBound,
    /// Others took part, or the halves of the window disagree: compare CPU per message only.
    Noisy,
    /// Something went wrong: not a result.
    Invalid,
    /// The server's CPU is not known (no readable `--server-pid`), and nothing known speaks against
    /// the generator.
    Unobserved,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::ServerBound => "server-bound",
            Verdict::GeneratorBound => "generator-bound",
            Verdict::LoadBound => "load-bound",
            Verdict::Noisy => "noisy",
            Verdict::Invalid => "invalid",
            Verdict::Unobserved => "unobserved",
        }
    }
}

/// All that a verdict rests on. What is not known keeps its default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Length of the window; 0 if unknown.
    pub(crate) seconds: f64,
    pub(crate) generator: Busy,
    pub(crate) server: Option<Busy>,
    pub(crate) steal_percent: Option<f64>,
    /// What others used on the CPUs of both sides.
    pub(crate) others: Option<Others>,
    /// How the halves of the window disagree, if they do.
    pub(crate) unstable: Option<String>,
    /// What went wrong, if anything did.
    pub(crate) failure: Option<String>,
    /// Of an open loop only.
    pub(crate) schedule: Option<Schedule>,
}

/// What a schedule says when it is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Due {
    #[default]
    Messages,
    /// Of a storm.
    Visits,
}

/// How an open loop's schedule was held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) due: Due,
    /// Messages that were due within the window.
    pub(crate) offered: f64,
    /// Messages answered within it.
    pub(crate) answered: Option<u64>,
    /// Messages due and not given to the kernel when it closed.
    pub(crate) backlog_end: u64,
    /// How late the generator took up one message in a thousand, at least.
    pub(crate) lateness_p99_9_ns: u64,
    /// The latency that one message in a thousand exceeded; 0 if unknown.
    pub(crate) latency_p99_9_ns: u64,
}

impl Schedule {
    /// Whether the generator's own lateness is a part of the latencies that counts.
    fn is_late(self) -> bool {
        let share = LATENESS_SHARE * self.latency_p99_9_ns as f64;
        self.lateness_p99_9_ns > LATENESS_NS_MAX && self.lateness_p99_9_ns as f64 > share
    }

    /// How the rate was missed, if it was.
    fn missed(self) -> Option<String> {
        let allowed = (MISSED_SHARE * self.offered).max(MISSED_MESSAGES);
        let (offered, backlog) = (self.offered, self.backlog_end);
        if backlog as f64 > allowed {
            return Some(match self.due {
                Due::Messages => format!(
                    "of {offered:.0} messages, {backlog} were due and could not be sent, since \
                     their sockets were full"
                ),
                Due::Visits => format!(
                    "of {offered:.0} visits, {backlog} were due and could not begin, since as many \
                     were under way as may be"
                ),
            });
        }
        let answered = self
            .answered
            .filter(|answered| *answered as f64 + allowed < offered)?;
        Some(match self.due {
            Due::Messages => format!(
                "of {offered:.0} messages that were due, {answered} were answered in the time"
            ),
            Due::Visits => {
                format!("of {offered:.0} visits that were due, {answered} ended well in the time")
            }
        })
    }
}

/// Use of CPU by one side over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Busy {
    /// Threads that did the work.
    pub threads: usize,
    /// Mean share of the window those threads were on a CPU, in percent.
    pub on_cpu_percent: f64,
    /// Mean share of the window they were runnable but waited for a CPU, in percent; `None` if unknown.
    pub cpu_wait_percent: Option<f64>,
    /// Share of the window the busiest of them was on a CPU, in percent.
    #[serde(default)]
    pub busiest_on_cpu_percent: f64,
    /// CPUs that this side may use; `None` if unknown.
    #[serde(default)]
    pub cpus: Option<usize>,
}

/// How a side had nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saturation {
    /// Every working thread was on a CPU all the time.
    Threads,
    /// One was, and others had time left.
    OneThread,
    /// There are more threads than CPUs, and no CPU was ever free.
    Cpus,
}

impl Busy {
    /// Sums up the threads of one side over `seconds`.
    pub(crate) fn of(tasks: &[TaskTime], seconds: f64) -> Busy {
        let most = tasks
            .iter()
            .map(|task| task.cpu_ns)
            .max()
            .unwrap_or_default();
        let floor = most as f64 * WORKER_SHARE;
        let workers: Vec<&TaskTime> = tasks
            .iter()
            .filter(|task| task.cpu_ns > 0 && task.cpu_ns as f64 >= floor)
            .collect();
        if workers.is_empty() || seconds <= 0.0 {
            return Busy::default();
        }
        let percent = |total: u64| 100.0 * total as f64 / (seconds * 1e9);
        let mean = |total: u64| percent(total) / workers.len() as f64;
        let waited: Option<u64> = workers.iter().map(|task| task.wait_ns).sum();
        Busy {
            threads: workers.len(),
            on_cpu_percent: mean(workers.iter().map(|task| task.cpu_ns).sum()),
            cpu_wait_percent: waited.map(mean),
            busiest_on_cpu_percent: percent(most),
            cpus: None,
        }
    }

    /// The same, of a side that may use this many CPUs; 0 if nobody knows.
    pub(crate) fn within(self, cpus: usize) -> Busy {
        let cpus = (cpus > 0).then_some(cpus);
        Busy { cpus, ..self }
    }

    /// Whether its threads have to take turns, so that their waiting says nothing about others.
    fn has_fewer_cpus_than_threads(self) -> bool {
        self.cpus.is_some_and(|cpus| cpus < self.threads)
    }

    fn saturation(self) -> Option<Saturation> {
        let used_percent = self.on_cpu_percent * self.threads as f64;
        let all_cpus = |cpus: usize| used_percent >= SATURATED_PERCENT * cpus as f64;
        if self.on_cpu_percent >= SATURATED_PERCENT {
            Some(Saturation::Threads)
        } else if self.has_fewer_cpus_than_threads() && self.cpus.is_some_and(all_cpus) {
            Some(Saturation::Cpus)
        } else if self.busiest_on_cpu_percent >= SATURATED_PERCENT {
            Some(Saturation::OneThread)
        } else {
            None
        }
    }

    /// How this side had nothing left, in words; `None` if it had.
    fn exhausted(self, name: &str) -> Option<String> {
        Some(match self.saturation()? {
            Saturation::Threads => match self.cpus {
                Some(cpus) if cpus > self.threads => format!(
                    "{name} had no CPU time left in its {} working thread{}, of {cpus} CPUs that it \
                     may use",
                    self.threads,
                    plural(self.threads)
                ),
                _ => format!("{name} had no CPU time left"),
            },
            Saturation::OneThread => format!(
                "one of {name}'s {} working threads had no CPU time left, while the others had: its \
                 connections are not spread evenly",
                self.threads
            ),
            Saturation::Cpus => {
                let cpus = self.cpus.unwrap_or_default();
                format!(
                    "{name} used up the {cpus} CPU{} that it may use",
                    plural(cpus)
                )
            }
        })
    }

    fn shared(self) -> bool {
        let waited = self.cpu_wait_percent;
        waited.is_some_and(|waited| waited >= SHARED_PERCENT) && !self.has_fewer_cpus_than_threads()
    }
}

/// Judges, and says why in one sentence.
pub(crate) fn judge(evidence: &Evidence) -> (Verdict, String) {
    let (verdict, why) = verdict(evidence);
    let mut reason = format!("{why}; {}", figures(evidence));
    if evidence.seconds > 0.0 && evidence.seconds < SECONDS_MIN {
        reason.push_str("; a window under 1 s knows these shares to some percent only");
    }
    (verdict, reason)
}

fn verdict(evidence: &Evidence) -> (Verdict, String) {
    if let Some(failure) = &evidence.failure {
        return (Verdict::Invalid, failure.clone());
    }
    if let Some(why) = generator_exhausted(evidence) {
        return (Verdict::GeneratorBound, why);
    }
    if let Some(why) = disturbance(evidence) {
        return (Verdict::Noisy, why);
    }
    let server = evidence.server;
    let exhausted = server.and_then(|server| server.exhausted("the server"));
    if let Some(schedule) = evidence.schedule {
        if schedule.is_late() {
            let late = schedule.lateness_p99_9_ns / 1000;
            let late = format!("it took up one message in a thousand {late} µs late or more");
            if evidence.generator.busiest_on_cpu_percent < NEARLY_SATURATED_PERCENT {
                let why = format!(
                    "something kept the generator from its CPU: {late}, though it had CPU time left"
                );
                return (Verdict::Noisy, why);
            }
            let why = format!("the generator could not hold the schedule: {late}");
            return (Verdict::GeneratorBound, why);
        }
        if let Some(missed) = schedule.missed() {
            let why = match (server, exhausted) {
                (_, Some(exhausted)) => exhausted,
                (Some(_), None) => {
                    "both sides had CPU time left, so the server waited for something \
                                    else, or the way to it was full"
                        .to_owned()
                }
                (None, None) => {
                    "the generator had CPU time left and was on time, so it was the server \
                                 or the way to it"
                        .to_owned()
                }
            };
            let why = format!("the rate was not held: {missed}; {why}");
            return (Verdict::ServerBound, why);
        }
    }
    if let Some(unstable) = &evidence.unstable {
        return (Verdict::Noisy, unstable.clone());
    }
    match (server, exhausted) {
        (None, _) => (
            Verdict::Unobserved,
            "who was the limit is not known, since the server was not observed (give --server-pid)"
                .to_owned(),
        ),
        (Some(_), Some(exhausted)) => (
            Verdict::ServerBound,
            format!("{exhausted}, and the generator had"),
        ),
        (Some(_), None) => {
            let pace = match evidence.schedule {
                Some(_) => "the rate asked for was held",
                None => {
                    "the load asked for set the pace (more connections or messages in flight load more)"
                }
            };
            (
                Verdict::LoadBound,
                format!("both sides had CPU time left: {pace}"),
            )
        }
    }
}

/// Why the generator was the limit, if it was.
fn generator_exhausted(evidence: &Evidence) -> Option<String> {
    let server = evidence.server.and_then(|server| server.saturation());
    let exhausted = evidence.generator.exhausted("the generator")?;
    Some(match server {
        Some(_) => format!(
            "neither side had CPU time left, so throughput is a lower bound of what the server can \
             do, and its CPU time per message holds ({exhausted})"
        ),
        None => format!("{exhausted}: throughput is a lower bound of what the server can do"),
    })
}

/// Why figures of wall-clock time are not to be trusted, if so.
fn disturbance(evidence: &Evidence) -> Option<String> {
    let steal = evidence.steal_percent;
    if let Some(steal) = steal.filter(|steal| *steal >= STEAL_PERCENT) {
        return Some(format!(
            "the hypervisor withheld {steal:.1} % of the CPU time"
        ));
    }
    let judged = evidence.others.filter(|others| others.is_judged);
    let took_part = |others: &Others| others.percent - others.error_percent >= OTHERS_PERCENT;
    if let Some(others) = judged.filter(took_part) {
        return Some(format!(
            "other tasks used {:.1} % of a CPU (± {:.1}) where the two sides ran",
            others.percent, others.error_percent
        ));
    }
    let waited = |name: &str, busy: Busy| {
        let percent = known(busy.cpu_wait_percent);
        let whose = match judged.is_some() {
            true => {
                "; no other task used much, so the two sides shared one: keep them apart (--cpu)"
            }
            false => "",
        };
        format!("{name} had to wait for a CPU for {percent} % of the time{whose}")
    };
    if evidence.generator.shared() {
        return Some(waited("the generator", evidence.generator));
    }
    let server = evidence.server.filter(|server| server.shared())?;
    Some(waited("the server", server))
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn figures(evidence: &Evidence) -> String {
    let figures = |name: &str, busy: Busy| {
        let threads = busy.threads;
        let plural = plural(threads);
        let busiest = match threads {
            0 | 1 => String::new(),
            _ => format!(", the busiest {:.1} %", busy.busiest_on_cpu_percent),
        };
        format!(
            "{name} {:.1} % on CPU and {} % waiting for one ({threads} thread{plural}{busiest})",
            busy.on_cpu_percent,
            known(busy.cpu_wait_percent)
        )
    };
    let generator = figures("generator", evidence.generator);
    match evidence.server {
        Some(server) => format!("{}, {generator}", figures("server", server)),
        None => generator,
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
