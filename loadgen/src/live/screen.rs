//! The terminal that the picture is on, and the thread that draws it.
//!
//! The picture stands below what was printed before, and goes without a trace. The cursor rests in its first row,
//! which is empty: what somebody prints meanwhile takes that row, and the picture moves down by one. Ctrl-C stays
//! the terminal's own, so it interrupts as without a picture.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};

use super::{Shared, draw};
use crate::alarm::yield_to_others;
use crate::control::Bell;

/// Time between two pictures: 5 a second, in milliseconds.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// What "now" means of a rate.
const NOW: Duration = Duration::from_secs(1);

/// Smaller terminals get a line instead of a picture.
const COLUMNS_MIN: u16 = 60;
const ROWS_MIN: u16 = 10;

/// How the terminal was before there was a picture on it, while there is one.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A picture on the terminal, until it is dropped.
pub(super) struct Screen {
    leave: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Begins to draw on standard error, if that is a terminal that can show a picture and is this program's.
    pub(super) fn open(shared: &Arc<Shared>) -> Option<Screen> {
        let stderr = io::stderr();
        let is_able = std::env::var("TERM").is_ok_and(|name| !name.is_empty() && name != "dumb");
        // What is no terminal has no group. Who sets a terminal in the background is stopped.
        if !is_able || tcgetpgrp(&stderr).ok()? != getpgrp() {
            return None;
        }
        let (columns, rows) = size()?;
        if columns < COLUMNS_MIN || rows < ROWS_MIN {
            return None;
        }
        let before = tcgetattr(&stderr).ok()?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Ctrl-Z and Ctrl-\ would leave the terminal as it is now.
        modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        modes.special_codes[SpecialCodeIndex::VQUIT] = 0;
        let leave = Arc::new(Bell::new().ok()?);
        let artist = Artist {
            shared: Arc::clone(shared),
            leave: Arc::clone(&leave),
            counts: VecDeque::new(),
            has_colors: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // From here on it is dropped, and the terminal restored, if something fails.
        let mut screen = Screen {
            leave,
            thread: None,
        };
        tcsetattr(&stderr, OptionalActions::Now, &modes).ok()?;
        let thread = Builder::new().name("live".to_owned());
        screen.thread = Some(thread.spawn(|| artist.work()).ok()?);
        Some(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave.ring();
        if let Some(thread) = self.thread.take() {
            // That it panicked was said by itself.
            let _ = thread.join();
        }
        restore();
    }
}

/// Takes the picture away and leaves the terminal as it was, if there is one. Also for whoever ends the process
/// without coming to an end, such as the hook of a panic.
pub(crate) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let stderr = io::stderr();
        // If either fails there is no terminal any more.
        let _ = (&stderr).write_all(b"\r\x1b[J\x1b[?25h");
        let _ = tcsetattr(&stderr, OptionalActions::Now, &before);
    }
}

fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stderr()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// Draws.
struct Artist {
    shared: Arc<Shared>,
    leave: Arc<Bell>,
    /// What was completed at some times within [`NOW`].
    counts: VecDeque<(Instant, u64)>,
    has_colors: bool,
}

impl Artist {
    fn work(mut self) {
        yield_to_others();
        let stderr = io::stderr();
        let mut has_keys = true;
        while self.draw().is_ok() {
            let mut fds = [
                PollFd::new(&self.leave, PollFlags::IN),
                PollFd::new(&stderr, PollFlags::IN),
            ];
            // A wait that a signal ends draws once more.
            let _ = poll(&mut fds[..1 + usize::from(has_keys)], Some(&PERIOD));
            let [left, pressed] = fds.map(|fd| !fd.revents().is_empty());
            if left {
                return;
            }
            let mut key = [0; 16];
            match rustix::io::read(&stderr, &mut key) {
                _ if !pressed => {}
                // As Ctrl-C does.
                Ok(count) if key[..count].contains(&b'q') => {
                    let _ = kill_process(getpid(), Signal::INT);
                }
                Ok(1..) => {}
                // It cannot be read from, or is gone.
                Ok(0) | Err(_) => has_keys = false,
            }
        }
    }

    /// Draws over what was drawn before; the cursor comes back to where it was.
    fn draw(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let seen = self.shared.seen().clone();
        let size = size().ok_or(io::ErrorKind::BrokenPipe)?;
        let rate = self.rate(now);
        let buffer = draw::picture(&seen, rate, self.shared.failures(), now, size);
        let lines = draw::lines(&buffer, self.has_colors);
        // In a terminal that has become too small for anything there is one empty line.
        let (rows, count) = (lines.join("\x1b[K\r\n"), lines.len().max(1));
        let text = format!("\x1b[?25l\r{rows}\x1b[K\r\n\x1b[J\x1b[{count}A");
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_none() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        io::stderr().write_all(text.as_bytes())
    }

    /// What was completed per second in the last one, once there are two looks at it.
    fn rate(&mut self, now: Instant) -> Option<f64> {
        let count = self.shared.total(|line| &line.messages)?;
        self.counts.push_back((now, count));
        while self.counts.len() > 2 && now - self.counts[1].0 >= NOW {
            self.counts.pop_front();
        }
        let (since, before) = self.counts[0];
        let seconds = (now - since).as_secs_f64();
        (seconds > 0.0).then(|| count.saturating_sub(before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// Names the process that panics, which is this test once more, on a terminal.
    const PANICS: &str = "RINGLOAD_TEST_PANICS";

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        if std::env::var_os(PANICS).is_some() {
            crate::end_on_panic();
            let _screen = Screen::open(&Arc::new(Shared {
                seen: Mutex::default(),
                control: None,
            }))
            .expect("this is a terminal");
            std::thread::sleep(Duration::from_millis(300));
            panic!("on purpose");
        }
        let (mut terminal, program) = pty_process::blocking::open().unwrap();
        terminal.resize(pty_process::Size::new(30, 100)).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let name = "live::screen::tests::a_panic_leaves_the_terminal_as_it_was";
        let mut child = pty_process::blocking::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(PANICS, "1")
            .env("TERM", "xterm")
            .spawn_borrowed(&program)
            .unwrap();
        assert!(!child.wait().unwrap().success());
        let after = tcgetattr(&terminal).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        // Nobody else has the other end, so this ends once all is read.
        drop(program);
        let mut told = Vec::new();
        drop(terminal.read_to_end(&mut told));
        let told = String::from_utf8_lossy(&told);
        let (_, last) = told.rsplit_once("\x1b[?25h").expect("the cursor is back");
        assert!(last.contains("on purpose"), "{told:?}");
        assert!(
            !last.contains("\x1b["),
            "nothing is drawn over it: {told:?}"
        );
    }
}
