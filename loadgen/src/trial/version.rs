//! What a program calls itself.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::process::complete;
use crate::interrupt::Interrupt;

/// More than any program has to say of itself.
const BYTES_MAX: u64 = 4096;

/// The first line that `command` prints, if it prints one and ends well within `limit`; a signal ends the
/// wait, too.
pub fn first_line(
    command: &mut Command,
    cpus: &[usize],
    limit: Duration,
    interrupt: &Interrupt,
) -> Option<String> {
    let ended = complete(command, cpus, BYTES_MAX, limit, interrupt).ok()?;
    ended.status.ok().filter(ExitStatus::success)?;
    let mut lines = ended.output.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty())?;
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
