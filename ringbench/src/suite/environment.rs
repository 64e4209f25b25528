//! The circumstances of a measurement: without them a number is not a result. Nothing here names the machine, its user
//! or its directories.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use ringload::interrupt::Interrupt;
use ringload::observe::host::Host;
use ringload::observe::others::CpuTimes;
use ringload::observe::placement::Placement;
use ringload::observe::process::cpus_online;
use ringload::trial::version::first_line;
use serde_json::{Value, json};

use super::install::VERSION_LIMIT;

/// How long to look whether the machine is quiet.
const QUIET_LOOK: Duration = Duration::from_secs(1);

/// What must be the same for runs to stand in one table.
const ORIGIN: [&str; 4] = [
    "/kernel",
    "/versions/ringload",
    "/source/git_commit",
    "/source/git_dirty",
];

/// Everything about the machine and the programs. What a machine does not tell is null, never guessed.
pub(super) fn gather(
    root: &Path,
    placement: &Placement,
    machine: Option<&str>,
    interrupt: &Interrupt,
) -> Value {
    let host = Host::read();
    let cpu = host.cpu.clone();
    let says = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(root);
        first_line(&mut command, &cpu.allowed, VERSION_LIMIT, interrupt)
    };
    let count = cpus_online().max(cpu.allowed.len());
    let named = || machine_name(&cpu.model, &cpu.architecture, count);
    let busy = CpuTimes::read();
    thread::sleep(QUIET_LOOK);
    let busy = CpuTimes::read().busy_percent(&busy);
    let mut environment = json!(host);
    environment["date_time"] = now().into();
    environment["machine"] = machine.map_or_else(named, str::to_owned).into();
    environment["placement"] = json!(placement);
    environment["kernel"] = says("uname -srvm").into();
    environment["load_average_before"] = fs::read_to_string("/proc/loadavg").ok().into();
    environment["busy_percent_before"] = busy.into();
    environment["command_line"] = std::env::args().skip(1).collect();
    // Results are no changes, nor are files that nobody has added.
    let changes = "git status --porcelain --untracked-files=no -- . ':(exclude)results' | wc -l";
    let commit = says("git rev-parse HEAD");
    environment["source"] = json!({
        "git_dirty": commit.as_ref().and_then(|_| says(changes)).map(|count| count != "0"),
        "git_commit": commit,
    });
    environment["versions"] = json!({
        "ringload": env!("CARGO_PKG_VERSION"),
        "rustc": says("rustc --version"),
        "node": says("node --version"),
        "python": says("python3 --version"),
        "operating_system": says(". /etc/os-release && echo \"$PRETTY_NAME\""),
    });
    environment
}

/// Why what was begun in one environment cannot be gone on with in another, if it cannot: the figures would stand in
/// one table.
pub(super) fn differs(then: &Value, now: &Value) -> Option<String> {
    let value = |of: &Value, what| of.pointer(what).cloned().unwrap_or_default();
    let values = ORIGIN.map(|what| (&what[1..], value(then, what), value(now, what)));
    let (what, then, now) = values.into_iter().find(|(_, then, now)| then != now)?;
    Some(format!(
        "its {what} was {then} when it was begun, and is {now}; go back to that, or begin anew"
    ))
}

/// The present moment, RFC 3339.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A short stable name: `Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz` with 4 CPUs is `xeon-gold-6140-4cpu`.
fn machine_name(model: &str, architecture: &str, cpu_count: usize) -> String {
    let model = model.to_ascii_lowercase();
    let model = model.split('@').next().unwrap_or_default();
    let model = model.replace("(r)", " ").replace("(tm)", " ");
    // A clock, and how many cores there are, which the count says.
    let dull = ["intel", "amd", "cpu", "processor", "core", "with"];
    let words = model.split_whitespace();
    let mut words: Vec<&str> = words
        .filter(|word| !dull.contains(word) && !word.ends_with("-core"))
        .collect();
    words.truncate(4);
    if words.is_empty() {
        words.push(architecture);
    }
    let name = words.join("-");
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{name}-{cpu_count}cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_get_short_names() {
        for (model, count, expected) in [
            ("Intel(R) Xeon(R) Processor", 2, "xeon-2cpu"),
            (
                "Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz",
                4,
                "xeon-gold-6140-4cpu",
            ),
            (
                "AMD Ryzen 9 7950X 16-Core Processor",
                32,
                "ryzen-9-7950x-32cpu",
            ),
            (
                "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz",
                8,
                "i7-8650u-8cpu",
            ),
            ("", 4, "x86-64-4cpu"),
        ] {
            assert_eq!(machine_name(model, "x86_64", count), expected);
        }
    }

    #[test]
    fn what_was_begun_elsewhere_or_from_other_sources_differs_and_says_how() {
        let then = json!({"kernel": "Linux 6.1", "source": {"git_commit": "abc"}});
        assert_eq!(differs(&then, &then), None);
        let mut now = then.clone();
        now["source"]["git_commit"] = "abd".into();
        let why = differs(&then, &now).unwrap();
        let phrase = "its source/git_commit was \"abc\" when it was begun, and is \"abd\"";
        assert!(why.starts_with(phrase), "{why}");
    }
}
