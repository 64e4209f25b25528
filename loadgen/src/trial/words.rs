//! What a process said last: the best explanation of its end that there is.

use std::io::Read;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use console::strip_ansi_codes;

/// Bytes of a process's output that are kept.
const KEPT_BYTES: usize = 8 << 10;

/// Characters of a line that are shown.
const SHOWN_CHARS: usize = 300;

/// How long to wait for the rest of what an ended process said.
const REST: Duration = Duration::from_millis(300);

/// Reads outputs of a process to their ends, so that it never blocks on a full pipe.
#[derive(Default)]
pub(crate) struct Words {
    tail: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Words {
    /// Reads what `child` writes to pipes that nobody has taken.
    pub(crate) fn of(child: &mut Child) -> Words {
        let mut words = Words::default();
        if let Some(output) = child.stdout.take() {
            words.listen_to(output);
        }
        if let Some(errors) = child.stderr.take() {
            words.listen_to(errors);
        }
        words
    }

    /// Reads `output`, too.
    fn listen_to(&mut self, mut output: impl Read + Send + 'static) {
        let tail = Arc::clone(&self.tail);
        self.readers.push(thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match output.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(bytes) => {
                        let Ok(mut tail) = tail.lock() else { return };
                        tail.extend_from_slice(&buffer[..bytes]);
                        let excess = tail.len().saturating_sub(KEPT_BYTES);
                        tail.drain(..excess);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        }));
    }

    /// The last line with anything in it, after a moment in which an ended process's outputs end, too.
    pub(crate) fn last(&self) -> Option<String> {
        let deadline = Instant::now() + REST;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let tail = self.tail.lock().ok()?;
        last_line(&String::from_utf8_lossy(&tail))
    }
}

/// The last line with anything in it, without control characters and not too long. A line that indents,
/// as those of a stack trace do, is the last resort.
fn last_line(text: &str) -> Option<String> {
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    let outermost = |line: &&str| !line.starts_with([' ', '\t', '}', ']', ')']);
    // Node ends an uncaught error with an empty line and its own version.
    let told = |line: &&str| outermost(line) && !line.starts_with("Node.js v");
    let line = lines().find(told).or_else(|| lines().next())?;
    let plain: String = strip_ansi_codes(line.trim())
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_CHARS)
        .collect();
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_taken() {
        assert_eq!(
            last_line("a\nport taken\n\n").as_deref(),
            Some("port taken")
        );
        assert_eq!(last_line(" \n"), None);
        let node = "Error: no port\n    at Server.listen\n    at main {\n  code: 1\n}\n\nNode.js v20.1.0\n";
        assert_eq!(last_line(node).as_deref(), Some("Error: no port"));
        assert_eq!(last_line("  at f\n").as_deref(), Some("at f"));
        assert_eq!(
            last_line("\x1b[31mred\x1b[0m alert\x07").as_deref(),
            Some("red alert")
        );
        assert_eq!(last_line(&"x".repeat(5000)).unwrap().len(), SHOWN_CHARS);
    }

    #[test]
    fn only_the_end_of_much_is_kept() {
        let mut words = Words::default();
        let much = [vec![b'x'; 100_000], b"\nthe end\n".to_vec()].concat();
        words.listen_to(std::io::Cursor::new(much));
        assert_eq!(words.last().as_deref(), Some("the end"));
        assert!(words.tail.lock().unwrap().len() <= KEPT_BYTES);
    }
}
