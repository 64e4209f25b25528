//! What strain leaves of a server: its memory, and whether it serves others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::exchange::echoes;
use super::peer::{Ground, Peer};
use super::verdict::Finding;
use super::wire::text;
use crate::observe::process::resident_bytes;

/// By how much a server may grow under one case.
pub(crate) const GROWTH_BYTES_MAX: u64 = 128 << 20;

/// Between two looks at its memory.
const LOOK: Duration = Duration::from_millis(50);

/// How many times the patience passes until a server is held to serve nobody any more.
const LAST_PATIENCE: u32 = 4;

/// Between two attempts to be served.
const RETRY: Duration = Duration::from_millis(100);

/// Does something that strains the server, then looks whether another client is served and, where the
/// server's process is known, by how much it grew meanwhile.
pub(crate) fn under_strain(
    peer: &mut Peer<'_>,
    strain: impl FnOnce(&mut Peer<'_>) -> Result<String, Finding>,
) -> Result<String, Finding> {
    let ground = peer.ground();
    let (happened, grown) = watched(ground.pid, || {
        let happened = strain(peer);
        (happened, another_is_served(ground))
    });
    let (happened, served) = happened;
    // A server that serves nobody any more is worse than whatever else came of it.
    let served = match served {
        Err(finding @ Finding::Illegal(_)) => return Err(finding),
        served => served,
    };
    let mut happened = happened?;
    served?;
    if let Some(grown) = grown {
        let mib = grown >> 20;
        happened = format!("{happened}; the server grew by {mib} MiB");
        if grown > GROWTH_BYTES_MAX {
            return Err(Finding::Lax(happened));
        }
    }
    Ok(happened)
}

/// Runs `act`, and says by how many bytes the process grew at most, if there is one.
fn watched<T>(pid: Option<i32>, act: impl FnOnce() -> T) -> (T, Option<u64>) {
    let resident = || pid.and_then(|pid| resident_bytes(pid).ok());
    let Some(before) = resident() else {
        return (act(), None);
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            loop {
                let is_last = is_over.load(Ordering::Relaxed);
                most = most.max(resident().unwrap_or_default());
                if is_last {
                    return most;
                }
                std::thread::sleep(LOOK);
            }
        });
        let outcome = act();
        is_over.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap_or(before);
        (outcome, Some(most - before))
    })
}

/// Another client is served within the patience. Later is what a limit should prevent; not within four times
/// as long, or where nobody can connect any more, the server has failed to protect itself (RFC 6455,
/// section 10.4), whatever the case is about.
pub(crate) fn another_is_served(ground: &Ground) -> Result<(), Finding> {
    let begin = Instant::now();
    loop {
        let served = Peer::connect(ground).and_then(|mut other| {
            other.upgrade()?;
            echoes([text("Hello")]).play(&mut other)
        });
        let took = begin.elapsed();
        match served {
            Ok(_) if took <= ground.patience => return Ok(()),
            Ok(_) => {
                let seconds = took.as_secs_f64();
                return Err(Finding::Lax(format!(
                    "another client was served only after {seconds:.1} s"
                )));
            }
            Err(finding @ Finding::Illegal(_)) => return Err(finding),
            Err(finding) if took >= LAST_PATIENCE * ground.patience => {
                return Err(Finding::Illegal(format!(
                    "no other client was served within {:.0} s (RFC 6455, 10.4): {}",
                    took.as_secs_f64(),
                    finding.words()
                )));
            }
            Err(_) => std::thread::sleep(RETRY),
        }
    }
}
