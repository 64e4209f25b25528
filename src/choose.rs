//! Which engine serves, and why not the others.

use std::io;

use crate::config::{ConfigError, EngineChoice, UringTuning};
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

/// The engine to serve with, and why that one, in a few words.
///
/// # Errors
/// Where the one that was asked for does not work, or `auto` meets anything but an engine that is not
/// to be had: a limit is for the operator to see, not to be papered over by a slower engine.
pub fn choose(
    choice: EngineChoice,
    tuning: &UringTuning,
) -> Result<(&'static Engine, String), ConfigError> {
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
            Ok(_) if choice != EngineChoice::Auto => return Ok((engine, "as asked".to_owned())),
            Ok(_) if passed_over.is_empty() => {
                return Ok((engine, "the first that auto tries".to_owned()));
            }
            Ok(_) => return Ok((engine, passed_over.join("; "))),
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

/// Why an engine is not to be had, for people.
pub fn absence(engine: &Engine, error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "is not permitted here (kernel.io_uring_disabled, or a container's seccomp profile)"
        }
        Some(libc::ENOSYS) => "is not in this kernel, or a container's seccomp profile hides it",
        Some(libc::EINVAL) if engine.name == "uring" => "needs a newer kernel (6.1)",
        Some(libc::EINVAL) => "needs a newer kernel",
        Some(libc::ENOMEM) => "gets too little locked memory (RLIMIT_MEMLOCK)",
        _ => "does not work here",
    };
    format!("{reason}: {error}")
}

/// Whether an engine failed to start for want of locked memory.
pub fn is_short_of_memory(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOMEM)
}

/// What the operator is told where an engine fails to start.
pub fn refusal(engine: &Engine, error: &io::Error) -> ConfigError {
    if is_short_of_memory(error) {
        let limit = limits::locked_memory_bytes().soft;
        let limit = limit.map_or("unlimited".to_owned(), |bytes| {
            format!("{} KiB", bytes >> 10)
        });
        return ConfigError::new(
            "--engine",
            format!(
                "{} cannot allocate its rings: RLIMIT_MEMLOCK is {limit} for this user",
                engine.name
            ),
            "raise it (`ulimit -l`, LimitMEMLOCK=), use fewer --workers or a smaller --uring-entries, \
             or use --engine epoll",
        );
    }
    if error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none() {
        return ConfigError::new(
            "--uring-min-wait",
            "needs Linux 6.12",
            "leave it out, or use a newer kernel",
        );
    }
    let remedy = match engine.name {
        "uring" | "tokio-uring" => {
            "use --engine auto or --engine epoll, or allow io_uring on this machine"
        }
        _ => "see the error, and `ringback probe`",
    };
    ConfigError::new(
        "--engine",
        format!("{} {}", engine.name, absence(engine, error)),
        remedy,
    )
}
