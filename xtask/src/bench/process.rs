//! Child processes that never outlive the bench, and the signals that end it.

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest a signal that came just before a wait can go unnoticed.
const INTERRUPT_CHECK: Duration = Duration::from_millis(500);

/// Set by SIGINT, SIGTERM or SIGHUP. Everything that waits looks at it and returns an error, so that
/// each started process is ended on the way out.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over the three signals for the rest of the process's life.
    pub(crate) fn install() -> io::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Interrupt(flag))
    }

    /// An error once a signal has come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// A started process. Dropping it kills it and reaps it.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` where it may run on `cpus` only.
    ///
    /// The calling thread takes that affinity for the moment of the start, and the child inherits
    /// it: so even the first thread that a runtime creates is where it belongs.
    pub(crate) fn start(command: &mut Command, cpus: &[usize]) -> anyhow::Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let before = sched_getaffinity(None).context("cannot read the CPU affinity")?;
        let mut wanted = CpuSet::new();
        for &cpu in cpus {
            wanted.set(cpu);
        }
        sched_setaffinity(None, &wanted).with_context(|| format!("cannot use CPU {cpus:?}"))?;
        let started = command.spawn();
        sched_setaffinity(None, &before).context("cannot restore the CPU affinity")?;
        Ok(Process {
            child: started.with_context(|| format!("cannot start {name}"))?,
        })
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, to take its pipes from.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for the end without waking up meanwhile: this runs beside a measurement.
    pub(crate) fn wait(
        &mut self,
        limit: Duration,
        interrupt: &Interrupt,
    ) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())
            .context("cannot wait for a process (pidfd_open needs Linux 5.3)")?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            interrupt.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no end after {} s", limit.as_secs());
            }
            let slice = Timespec::try_from(left.min(INTERRUPT_CHECK))?;
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&slice)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for a process"),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_cpu() -> Vec<usize> {
        let allowed = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU)
            .filter(|&cpu| allowed.is_set(cpu))
            .take(1)
            .collect()
    }

    fn never() -> Interrupt {
        Interrupt(Arc::new(AtomicBool::new(false)))
    }

    #[test]
    fn a_process_that_does_not_end_is_given_up_and_ended_when_dropped() {
        let mut process =
            Process::start(Command::new("sleep").arg("60"), &any_cpu()).expect("start");
        let pid = Pid::from_child(&process.child);
        assert!(process.wait(Duration::from_millis(20), &never()).is_err());
        assert!(process.ended().unwrap().is_none());
        drop(process);
        assert_eq!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        );
    }

    #[test]
    fn the_end_of_a_process_is_seen_with_its_status() {
        let mut command = Command::new("sh");
        let mut process = Process::start(command.args(["-c", "exit 3"]), &any_cpu()).unwrap();
        let status = process.wait(Duration::from_secs(20), &never()).unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn an_interrupt_ends_a_wait() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(true)));
        let mut process = Process::start(Command::new("sleep").arg("60"), &any_cpu()).unwrap();
        let error = process
            .wait(Duration::from_secs(60), &interrupt)
            .unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }

    #[test]
    fn a_process_starts_where_it_was_told_and_this_thread_stays_free() {
        let before = sched_getaffinity(None).unwrap();
        let cpus = any_cpu();
        let process = Process::start(Command::new("sleep").arg("60"), &cpus).unwrap();
        let there = sched_getaffinity(Some(Pid::from_child(&process.child))).unwrap();
        assert_eq!(there.count(), 1);
        assert!(there.is_set(cpus[0]));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
