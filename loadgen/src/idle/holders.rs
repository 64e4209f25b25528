//! Who holds the connections: this process, or several that it starts.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::holder::{Closed, Holder, Opened, Sampling};
use super::share::{Order, Report};
use crate::interrupt::Interrupt;
use crate::options::idle::{IdleOptions, Share};

/// Connections being opened, or closed, at a time, over all processes.
const AT_ONCE: usize = 64;

/// This very program, even if its file has been replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// How often to look at signals while processes are awaited.
const LOOK: Duration = Duration::from_millis(50);

/// How long a process may take to end, or to answer after a signal, before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who holds the connections.
pub(super) enum Holders<'a> {
    /// This process.
    Here(Box<Holder<'a>>),
    /// Others.
    Apart(Parts),
}

impl<'a> Holders<'a> {
    /// Gets ready; nothing is opened yet.
    pub(super) fn start(
        options: &IdleOptions,
        processes: usize,
        seed: u64,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Holders<'a>> {
        if processes > 1 {
            return Ok(Holders::Apart(Parts::start(options, processes, seed)?));
        }
        let all = Share {
            first: 0,
            end: options.connections,
        };
        let holder = Holder::new(options, all, AT_ONCE, seed, interrupt.as_fd())?;
        Ok(Holders::Here(Box::new(holder)))
    }

    /// Opens all connections; see [`Holder::open`].
    pub(super) fn open(
        &mut self,
        interrupt: &Interrupt,
        progress: impl FnMut(usize),
    ) -> anyhow::Result<Opened> {
        match self {
            Holders::Here(holder) => holder.open(progress),
            Holders::Apart(parts) => Ok(parts.open(interrupt, progress)),
        }
    }

    /// Holds them for `time`; `false` if a signal came.
    pub(super) fn hold(&mut self, interrupt: &Interrupt, time: Duration) -> anyhow::Result<bool> {
        match self {
            Holders::Here(holder) => holder.hold(Some(time)),
            Holders::Apart(_) => Ok(interrupt.sleep(time)?),
        }
    }

    /// Closes the `total` connections that stand; without taking leave, if `is_hasty`.
    pub(super) fn close(
        &mut self,
        interrupt: &Interrupt,
        total: usize,
        is_hasty: bool,
    ) -> anyhow::Result<Closed> {
        match self {
            Holders::Here(holder) => holder.close(Sampling {
                before: 0,
                total,
                is_hasty,
            }),
            Holders::Apart(parts) => Ok(parts.close(interrupt, total, is_hasty)),
        }
    }
}

/// One process.
struct Part {
    child: Child,
    orders: Option<ChildStdin>,
    standing: usize,
    opened: Option<Opened>,
    closed: Option<Closed>,
    is_gone: bool,
}

/// Processes that hold a share of the connections each.
pub(super) struct Parts {
    parts: Vec<Part>,
    reports: Receiver<(usize, Option<Report>)>,
    seed: u64,
}

impl Parts {
    fn start(options: &IdleOptions, processes: usize, seed: u64) -> anyhow::Result<Parts> {
        let (sender, reports) = channel();
        let edge = |number| options.connections * number / processes;
        let mut parts = Parts {
            parts: Vec::new(),
            reports,
            seed,
        };
        for number in 0..processes {
            let share = format!("--share={}..{}", edge(number), edge(number + 1));
            // The first argument is the program, the second the command.
            let mut child = Command::new(OURSELVES)
                .args(["idle", &share])
                .args(std::env::args_os().skip(2))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting another process")?;
            let orders = child.stdin.take();
            let stdout = child.stdout.take();
            parts.parts.push(Part {
                child,
                orders,
                standing: 0,
                opened: None,
                closed: None,
                is_gone: false,
            });
            let sender = sender.clone();
            thread::Builder::new()
                .spawn(move || stdout.map(|stdout| listen(number, stdout, &sender)))
                .context("starting a thread")?;
        }
        Ok(parts)
    }

    fn open(&mut self, interrupt: &Interrupt, mut progress: impl FnMut(usize)) -> Opened {
        let order = Order::Open {
            at_once: (AT_ONCE / self.parts.len()).max(1),
            seed: self.seed,
        };
        self.order_all(order);
        let mut sum = Opened::default();
        let mut give_up = None;
        while self.wait(|part| part.opened.is_some()) {
            progress(self.parts.iter().map(|part| part.standing).sum());
            if interrupt.is_raised() && !sum.interrupted {
                sum.interrupted = true;
                give_up = Some(Instant::now() + PATIENCE);
                self.order_all(Order::Stop);
            }
            if give_up.is_some_and(|give_up| Instant::now() >= give_up) {
                break;
            }
        }
        for part in &mut self.parts {
            let opened = part.opened.clone().unwrap_or_else(|| Opened {
                error: part.is_gone.then(|| part.obituary()),
                ..Opened::default()
            });
            part.standing = opened.connections;
            sum.connections += opened.connections;
            sum.error = sum.error.or(opened.error);
            sum.address = sum.address.or(opened.address);
            sum.tls = sum.tls.or(opened.tls);
        }
        sum
    }

    fn close(&mut self, interrupt: &Interrupt, total: usize, is_hasty: bool) -> Closed {
        let mut before = 0;
        for part in &mut self.parts {
            part.order(Order::Close(Sampling {
                before,
                total,
                is_hasty,
            }));
            before += part.standing;
        }
        let mut sum = Closed::default();
        let give_up = is_hasty.then(|| Instant::now() + PATIENCE);
        while self.wait(|part| part.closed.is_some()) {
            if interrupt.is_raised() && !is_hasty {
                sum.interrupted = true;
                break;
            }
            if give_up.is_some_and(|give_up| Instant::now() >= give_up) {
                break;
            }
        }
        for part in &mut self.parts {
            let closed = part.closed.take().unwrap_or_else(|| Closed {
                error: (part.is_gone && part.opened.is_some()).then(|| part.obituary()),
                ..Closed::default()
            });
            sum.echoed += closed.echoed;
            sum.lost += closed.lost;
            sum.error = sum.error.or(closed.error);
            sum.interrupted |= closed.interrupted;
        }
        sum
    }

    /// Takes in reports for a while; `false` when each process is through or gone.
    fn wait(&mut self, is_through: impl Fn(&Part) -> bool) -> bool {
        let is_done = |parts: &[Part]| parts.iter().all(|part| part.is_gone || is_through(part));
        if is_done(&self.parts) {
            return false;
        }
        let mut report = self.reports.recv_timeout(LOOK);
        loop {
            match report {
                Ok((number, Some(report))) => self.parts[number].take(report),
                Ok((number, None)) => self.parts[number].is_gone = true,
                Err(RecvTimeoutError::Timeout) => break,
                // All are gone, and have been said to be.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if is_done(&self.parts) {
                return false;
            }
            report = self.reports.recv_timeout(Duration::ZERO);
        }
        true
    }

    fn order_all(&mut self, order: Order) {
        for part in &mut self.parts {
            part.order(order);
        }
    }
}

impl Part {
    fn order(&mut self, order: Order) {
        let line = serde_json::to_string(&order);
        // One that is gone hears nothing, and its reports' end says so.
        if let (Ok(line), Some(orders)) = (line, &mut self.orders) {
            let _ = writeln!(orders, "{line}");
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Progress(standing) => self.standing = standing,
            Report::Opened(opened) => {
                self.standing = opened.connections;
                self.opened = Some(opened);
            }
            Report::Closed(closed) => self.closed = Some(closed),
        }
    }

    /// What became of a process that is gone.
    fn obituary(&mut self) -> String {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        format!("a process of ringload that held connections ended ({status})")
    }
}

impl Drop for Part {
    /// Without orders to come a process ends by itself; if it does not, it is killed.
    fn drop(&mut self) {
        self.orders = None;
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                // Both fail only if it has ended after all.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Hands on what process `number` reports, and that it does no more.
fn listen(
    number: usize,
    stdout: std::process::ChildStdout,
    sender: &Sender<(usize, Option<Report>)>,
) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(report) = serde_json::from_str(&line) else {
            break;
        };
        if sender.send((number, Some(report))).is_err() {
            return;
        }
    }
    // Nobody listens once all is over.
    let _ = sender.send((number, None));
}
