//! Child processes that never outlive this one.
//!
//! Each leads a process group of its own: a signal from the terminal reaches this program alone, which
//! then ends the group, whatever the child has started meanwhile.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::thread::{sched_getaffinity, sched_setaffinity};

use super::words::Words;
use crate::interrupt::Interrupt;
pub use crate::interrupt::Interrupted;
use crate::load::pin;
use crate::sys;

/// How long a process may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// An error once a signal has come.
pub fn check(interrupt: &Interrupt) -> Result<(), Interrupted> {
    if interrupt.is_raised() {
        return Err(Interrupted);
    }
    Ok(())
}

/// A started process. Dropping it ends it and all that it started, and reaps it.
pub struct Process {
    child: Child,
    /// Becomes readable when the process ends, before it is reaped: until then nobody else can have
    /// its id, nor that of its group.
    pidfd: OwnedFd,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` where it may run on `cpus` only.
    ///
    /// The calling thread takes that affinity for the moment of the start, and the child inherits it:
    /// so even the first thread that a runtime creates is where it belongs.
    pub fn start(command: &mut Command, cpus: &[usize]) -> anyhow::Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let before = sched_getaffinity(None).context("cannot read the CPU affinity")?;
        sys::die_with_this_thread(command.process_group(0));
        pin(cpus).with_context(|| format!("cannot use CPU {cpus:?}"))?;
        let started = command.spawn();
        sched_setaffinity(None, &before).context("cannot restore the CPU affinity")?;
        let mut child = started.with_context(|| format!("cannot start {name}"))?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Process {
                child,
                pidfd,
                ended: None,
            }),
            Err(error) => {
                // It is of no use if its end cannot be waited for.
                let _ = child.kill();
                let _ = child.wait();
                Err(error).context("cannot watch a process (pidfd_open needs Linux 5.3)")
            }
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, to take its pipes from.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() && self.is_over(Duration::ZERO, None)? {
            self.reap()?;
        }
        Ok(self.ended)
    }

    /// Waits for the end without waking up meanwhile: this runs beside a measurement.
    pub fn wait(&mut self, limit: Duration, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        if self.is_over(limit, Some(interrupt))? {
            return self.end().context("cannot wait for a process");
        }
        check(interrupt)?;
        bail!("no end after {} s", limit.as_secs());
    }

    /// Asks the whole group to end, and kills what does not within a time of grace.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let group = Pid::from_child(&self.child);
        // It fails only when all have ended already, which is what is wanted.
        let _ = kill_process_group(group, Signal::TERM);
        self.is_over(GRACE, None)?;
        self.reap()
    }

    /// Kills what is left of the group, and takes the status.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        // The leader is not reaped yet: its id, and so that of the group, is still its own.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }

    /// Whether the process has ended, or does within `limit`; a signal ends the wait, too.
    fn is_over(&self, limit: Duration, interrupt: Option<&Interrupt>) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        let ends = [Some(self.pidfd.as_fd()), interrupt.map(AsFd::as_fd)];
        let ends = ends.into_iter().flatten();
        let ends = ends.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN));
        let mut ends: Vec<PollFd<'_>> = ends.collect();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let slice = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut ends, Some(&slice)) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(!ends[0].revents().is_empty()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What came of a program that was run to its end.
pub struct Ended {
    /// The error is why it was given up: it took too long, or a signal came.
    pub status: anyhow::Result<ExitStatus>,
    /// What it wrote to standard output.
    pub output: String,
    /// The last line that it wrote to standard error.
    pub said_last: Option<String>,
}

/// Runs `command` on `cpus`, for `limit` at most or until a signal comes, and takes so many bytes of what it says. The
/// error is that it did not start.
pub fn complete(
    command: &mut Command,
    cpus: &[usize],
    bytes_max: u64,
    limit: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = Process::start(command, cpus)?;
    let output = process.child().stdout.take();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What cannot be read was not said.
        let _ = output.map(|it| it.take(bytes_max).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let words = Words::of(process.child());
    let status = process.wait(limit, interrupt);
    // Whoever still holds the other end of a pipe ends with the process.
    drop(process);
    Ok(Ended {
        status,
        output: reader.join().unwrap_or_default(),
        said_last: words.last(),
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        // Should it not be possible to wait, killing is.
        if self.end().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::placement::allowed_cpus;
    use rustix::process::test_kill_process;
    use std::process::Stdio;

    const LONG: Duration = Duration::from_secs(60);

    fn start(arguments: &[&str]) -> Process {
        let mut command = Command::new(arguments[0]);
        Process::start(command.args(&arguments[1..]), &allowed_cpus().unwrap()).unwrap()
    }

    fn is_gone(pid: Pid) -> bool {
        test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
    }

    #[test]
    fn a_process_that_does_not_end_is_given_up_and_ended_when_dropped() {
        let interrupt = Interrupt::install().unwrap();
        let mut process = start(&["sleep", "60"]);
        let pid = Pid::from_child(&process.child);
        assert!(process.wait(Duration::from_millis(20), &interrupt).is_err());
        assert!(process.ended().unwrap().is_none());
        drop(process);
        assert!(is_gone(pid));
    }

    #[test]
    fn the_end_of_a_process_is_seen_with_its_status() {
        let interrupt = Interrupt::install().unwrap();
        let mut process = start(&["sh", "-c", "exit 3"]);
        assert_eq!(process.wait(LONG, &interrupt).unwrap().code(), Some(3));
        assert_eq!(process.end().unwrap().code(), Some(3));
    }

    #[test]
    fn what_ignores_sigterm_is_killed_and_so_is_what_it_started() {
        use std::io::Read as _;
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; sleep 60 & echo $!; wait; wait"])
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command, &allowed_cpus().unwrap()).unwrap();
        let mut said = Vec::new();
        let mut output = process.child().stdout.take().unwrap();
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        let grandchild: i32 = String::from_utf8_lossy(&said).trim().parse().unwrap();
        let status = process.end().unwrap();
        assert_eq!(status.code(), None, "{status}");
        // Its new parent reaps it, some time: a zombie still has an id, and no command line.
        let line = || std::fs::read(format!("/proc/{grandchild}/cmdline")).unwrap_or_default();
        let began = Instant::now();
        while !line().is_empty() {
            // A signal is on its way until the process has a CPU to die on.
            assert!(began.elapsed() < LONG, "{:?}", line());
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_process_starts_where_it_was_told_and_this_thread_stays_free() {
        let before = sched_getaffinity(None).unwrap();
        let cpu = allowed_cpus().unwrap()[0];
        let process = Process::start(Command::new("sleep").arg("60"), &[cpu]).unwrap();
        let there = sched_getaffinity(Some(Pid::from_child(&process.child))).unwrap();
        assert_eq!(there.count(), 1);
        assert!(there.is_set(cpu));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let mut command = Command::new("no-such-program");
        let error = Process::start(&mut command, &allowed_cpus().unwrap()).err();
        assert!(format!("{:#}", error.unwrap()).starts_with("cannot start no-such-program"));
    }
}
