//! What a program calls itself.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::process::Process;
use crate::interrupt::Interrupt;

/// Most that is read of what a program says about itself.
const BYTES_MAX: u64 = 4096;

/// The first line that `command` prints, if it prints one and ends well within `limit`; a signal ends the
/// wait, too.
pub fn first_line(
    command: &mut Command,
    cpus: &[usize],
    limit: Duration,
    interrupt: &Interrupt,
) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = Process::start(command, cpus).ok()?;
    let output = process.child().stdout.take()?;
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is no version.
        let _ = output.take(BYTES_MAX).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = process.wait(limit, interrupt);
    // Whoever still holds the other end of the pipe ends with the process.
    drop(process);
    let text = reader.join().ok()?;
    if !status.is_ok_and(|status| status.success()) {
        return None;
    }
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::placement::allowed_cpus;

    fn line(script: &str, limit: Duration) -> Option<String> {
        let interrupt = Interrupt::install().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        first_line(&mut command, &allowed_cpus().unwrap(), limit, &interrupt)
    }

    #[test]
    fn a_program_that_says_its_version_has_one() {
        let long = Duration::from_secs(60);
        assert_eq!(
            line("echo; echo x 1.2; echo y", long).as_deref(),
            Some("x 1.2")
        );
        assert_eq!(line("echo usage; exit 2", long), None);
        assert_eq!(line("true", long), None);
    }

    #[test]
    fn a_program_that_goes_on_is_ended() {
        assert_eq!(line("echo 1; sleep 60", Duration::from_millis(50)), None);
    }
}
