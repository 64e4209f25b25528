//! Which engine serves, and why not the others.

use std::io;

use crate::config::{ConfigError, EngineChoice};
use crate::engine::UringTuning;
use crate::engine::{self, ENGINES, Engine, Feature};
use crate::sys::limits;

/// What came of trying an engine.
#[derive(Debug)]
pub struct Trial {
    /// Which engine.
    pub engine: &'static Engine,
    /// What it offers here, or what stands in its way.
    pub outcome: io::Result<Vec<Feature>>,
}

/// Tries every engine, those of `auto` in its order.
pub fn try_all(tuning: &UringTuning) -> Vec<Trial> {
    ENGINES
        .iter()
        .map(|engine| Trial {
            engine,
            outcome: (engine.probe)(tuning),
        })
        .collect()
}

/// The engine to serve with.
#[derive(Debug)]
pub struct Choice {
    /// Which one.
    pub engine: &'static Engine,
    /// Why that one, in a few words.
    pub why: String,
    /// What was asked for and is left out, a sentence each.
    pub warnings: Vec<String>,
}

/// Chooses the engine to serve with.
///
/// # Errors
/// Where the one that was asked for does not work, or `auto` meets anything but an engine that is not
/// to be had: a limit is for the operator to see, not to be papered over by a slower engine.
pub fn choose(choice: EngineChoice, tuning: &UringTuning) -> Result<Choice, ConfigError> {
    let mut passed_over = Vec::new();
    for engine in ENGINES {
        let eligible = match choice {
            EngineChoice::Auto => engine.in_auto,
            EngineChoice::Named(name) => name.as_str() == engine.name,
        };
        if !eligible {
            continue;
        }
        match (engine.probe)(tuning) {
            Ok(features) => {
                let why = match choice {
                    EngineChoice::Named(_) => "as asked".to_owned(),
                    EngineChoice::Auto if passed_over.is_empty() => {
                        "the first that auto tries".to_owned()
                    }
                    EngineChoice::Auto => passed_over.join("; "),
                };
                return Ok(Choice {
                    engine,
                    why,
                    warnings: left_out(engine.name, tuning, &features),
                });
            }
            Err(error) if choice == EngineChoice::Auto && engine::is_absent(&error) => {
                passed_over.push(format!("{} {}", engine.name, absence(engine, &error)));
            }
            Err(error) => return Err(refusal(engine, &error)),
        }
    }
    Err(ConfigError::new(
        "--engine",
        "no engine works here",
        "run `ringback probe` for the reasons",
    ))
}

/// The options that this kernel or this engine can do nothing with, a sentence each. They concern how
/// something is done, not what: the server serves without them.
fn left_out(engine: &str, tuning: &UringTuning, features: &[Feature]) -> Vec<String> {
    let missing = features.iter().filter(|feature| !feature.found);
    let too_new = missing.filter_map(|feature| {
        let option = feature.wanted?;
        let since = feature.since;
        Some(format!("{option} is left out: it needs Linux {since}"))
    });
    let default = UringTuning::default();
    let is_ring = engine != "epoll";
    let foreign = [
        (
            "--uring-entries",
            !is_ring && tuning.entries != default.entries,
        ),
        ("--uring-buffers", tuning.buffers.is_some()),
        ("--uring-buffer-size", tuning.buffer_bytes.is_some()),
        ("--uring-incremental", tuning.incremental.is_some()),
        ("--uring-min-wait", !tuning.min_wait.is_zero()),
    ];
    let foreign = foreign
        .into_iter()
        .filter(|(_, is_given)| *is_given && engine != "uring")
        .map(|(option, _)| {
            format!("{option} is left out: it means nothing to the engine {engine}")
        });
    too_new.chain(foreign).collect()
}

/// Why an engine is not to be had, for people.
pub fn absence(engine: &Engine, error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "is not permitted here (kernel.io_uring_disabled, or a container's seccomp profile)"
        }
        Some(libc::EACCES) => "is not permitted here (SELinux, or another security module)",
        Some(libc::ENOSYS) => "is not in this kernel, or a container's seccomp profile hides it",
        Some(libc::EINVAL) if engine.name == "uring" => "needs a newer kernel (6.1)",
        Some(libc::EINVAL) => "needs a newer kernel",
        Some(libc::ENOMEM) => "gets too little locked memory (RLIMIT_MEMLOCK)",
        None if is_shortage(error) => "gets too little memory",
        _ => "does not work here",
    };
    format!("{reason}: {error}")
}

/// Whether an engine failed to start for want of memory: that of a ring, which older kernels count as
/// locked (`ENOMEM`), or that of its buffers.
pub fn is_shortage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// What the operator is told where an engine fails to start.
pub fn refusal(engine: &Engine, error: &io::Error) -> ConfigError {
    if is_shortage(error) {
        return if error.raw_os_error().is_some() {
            short_of_locked_memory(engine)
        } else {
            ConfigError::new(
                "--uring-buffers",
                format!("{} has {error}", engine.name),
                "use fewer, a smaller --uring-buffer-size or fewer --workers, or allow the process more \
                 memory",
            )
        };
    }
    let remedy = match engine.name {
        "uring" | "tokio-uring" => "use --engine epoll, or allow io_uring on this machine",
        _ => "see the error, and `ringback probe`",
    };
    ConfigError::new(
        "--engine",
        format!("{} {}", engine.name, absence(engine, error)),
        remedy,
    )
}

fn short_of_locked_memory(engine: &Engine) -> ConfigError {
    let limit = limits::locked_memory_bytes().soft;
    let limit = limit.map_or("unlimited".to_owned(), |bytes| {
        format!("{} KiB", bytes >> 10)
    });
    ConfigError::new(
        "--engine",
        format!(
            "{} cannot allocate its rings: RLIMIT_MEMLOCK is {limit} for this user",
            engine.name
        ),
        "raise it (`ulimit -l`, LimitMEMLOCK=), use fewer --workers or a smaller --uring-entries, \
         or use --engine epoll",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_the_kernel_or_the_engine_cannot_do_is_told() {
        let tuning = UringTuning {
            buffers: Some(2),
            entries: 64,
            incremental: Some(true),
            min_wait: Duration::from_micros(50),
            ..UringTuning::default()
        };
        let feature = |wanted, found| Feature {
            name: "something",
            since: "6.12",
            found,
            wanted,
        };
        let features = [
            feature(Some("--uring-incremental"), false),
            feature(Some("--uring-min-wait"), true),
            feature(None, false),
        ];
        assert_eq!(
            left_out("uring", &tuning, &features),
            ["--uring-incremental is left out: it needs Linux 6.12"]
        );
        let told = |engine| left_out(engine, &tuning, &[]).len();
        assert_eq!((told("tokio-uring"), told("epoll")), (3, 4));
        assert!(left_out("epoll", &UringTuning::default(), &[]).is_empty());
    }
}
