//! A process that holds a share of the connections for another: orders come in over standard input,
//! reports go out over standard output, a line of JSON each.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGINT;

use super::holder::{Closed, Holder, Opened, Sampling};
use crate::options::idle::{IdleOptions, Share};
use crate::options::make_room_for;
use crate::output::document::Status;

/// How often the progress of opening is told.
const TELL: Duration = Duration::from_millis(100);

/// Longest order.
const ORDER_BYTES_MAX: usize = 4096;

const NOT_AN_ORDER: &str =
    "--share is for ringload's own use: an order was expected on standard input";

/// What a process is told. While it opens or holds connections, any order ends that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Order {
    /// Open the connections, so many at a time, and hold them.
    Open { at_once: usize, seed: u64 },
    /// Open no more, and hold what stands.
    Stop,
    /// Close them.
    Close(Sampling),
}

/// What a process tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Report {
    /// So many stand by now.
    Progress(usize),
    Opened(Opened),
    Closed(Closed),
}

/// Does as told; ends when nobody is there any more to tell.
pub(super) fn run(options: &IdleOptions, share: Share) -> anyhow::Result<Status> {
    // A terminal's Ctrl-C reaches every process; the one that gives the orders decides.
    let nobody_looks = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, nobody_looks).context("taking over signals")?;
    make_room_for(share.end - share.first)?;
    let stdin = io::stdin();
    let Some(Order::Open { at_once, seed }) = hear(&stdin)? else {
        return Ok(Status::Failed);
    };
    let mut holder = Holder::new(options, share, at_once, seed, stdin.as_fd())?;
    let mut told = Instant::now();
    let mut opened = holder.open(|connections| {
        if told.elapsed() >= TELL {
            told = Instant::now();
            // Whoever does not listen any more has closed the orders' pipe too.
            let _ = tell(&Report::Progress(connections));
        }
    })?;
    let mut order = None;
    if opened.interrupted {
        order = hear(&stdin)?;
        opened.interrupted = order.is_none();
    }
    tell(&Report::Opened(opened))?;
    while !matches!(order, Some(Order::Close(_))) {
        holder.hold(None)?;
        order = hear(&stdin)?;
        if order.is_none() {
            return Ok(Status::Failed);
        }
    }
    let Some(Order::Close(sampling)) = order else {
        return Ok(Status::Failed);
    };
    tell(&Report::Closed(holder.close(sampling)?))?;
    Ok(Status::Ok)
}

/// The next order; `None` when there will be no more.
fn hear(stdin: &io::Stdin) -> anyhow::Result<Option<Order>> {
    let mut line = Vec::new();
    let mut byte = [0];
    // Byte by byte: what is read ahead would not make the descriptor readable any more, which is how an
    // order is noticed.
    while byte != *b"\n" {
        match rustix::io::read(stdin, &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("reading an order"),
        }
        anyhow::ensure!(line.len() <= ORDER_BYTES_MAX, "{NOT_AN_ORDER}");
    }
    serde_json::from_slice(&line)
        .map(Some)
        .context(NOT_AN_ORDER)
}

fn tell(report: &Report) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(report).context("encoding a report")?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&line)
        .and_then(|()| stdout.flush())
        .context("reporting")
}
