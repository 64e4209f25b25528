//! What comparing costs: the same comparison that a run makes of each reply, in memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ringload::payload::{Kind, Kinds, Pool, Random};

use crate::selftest::document::Comparing;

/// The two sizes between which the cost of a KiB is.
const SMALL_BYTES: usize = 32;
const LARGE_BYTES: usize = 64 * 1024;

/// Different replies that are compared in turn: more than a branch predictor learns by heart.
const REPLIES: usize = 64;

/// Length of one trial, and how many there are. The quickest counts: everything else is disturbance.
const TRIAL: Duration = Duration::from_millis(4);
const TRIALS: usize = 5;

/// Measures it.
pub(super) fn comparing() -> Comparing {
    let mut random = Random::new(1, 0);
    let pool = Pool::new(Kinds::Binary, LARGE_BYTES, &mut random);
    let small = nanoseconds(&pool, SMALL_BYTES, &mut random);
    let large = nanoseconds(&pool, LARGE_BYTES, &mut random);
    let kibibytes = (LARGE_BYTES - SMALL_BYTES) as f64 / 1024.0;
    Comparing {
        ns_per_message: small,
        ns_per_kibibyte: (large - small).max(0.0) / kibibytes,
    }
}

/// Of one comparison of `size` bytes, which come out equal.
fn nanoseconds(pool: &Pool, size: usize, random: &mut Random) -> f64 {
    let replies: Vec<(usize, Vec<u8>)> = (0..REPLIES)
        .map(|_| {
            let offset = pool.choose(Kind::Binary, size, random.bits());
            (offset, pool.window(Kind::Binary, offset, size).to_vec())
        })
        .collect();
    let trial = || {
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < TRIAL {
            for (offset, received) in &replies {
                let sent = pool.window(Kind::Binary, *offset, size);
                assert!(
                    black_box(received.as_slice()) == sent,
                    "a window is what was copied from it"
                );
            }
            rounds += 1;
        }
        start.elapsed().as_nanos() as f64 / f64::from(rounds * REPLIES as u32)
    };
    (0..TRIALS).map(|_| trial()).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_takes_some_time_and_more_for_more() {
        let comparing = comparing();
        assert!(comparing.ns_per_message > 0.0, "{comparing:?}");
        assert!(comparing.ns_per_kibibyte > 0.0, "{comparing:?}");
    }
}
