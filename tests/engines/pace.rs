//! Reading at a steady pace, as over a slow line.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use crate::wire::Wire;

/// How often something is read.
const PERIOD: Duration = Duration::from_millis(20);

/// Reads `count` bytes, at most `per_second` bytes in a second.
pub(crate) fn read_exact(wire: &mut Wire, count: usize, per_second: usize) -> Vec<u8> {
    let read = read(wire, count, per_second);
    assert!(
        read.len() == count,
        "the end, after {} of {count} bytes",
        read.len()
    );
    read
}

/// The same, to the server's FIN.
pub(crate) fn read_to_end(mut wire: Wire, per_second: usize) -> Vec<u8> {
    read(&mut wire, usize::MAX, per_second)
}

fn read(wire: &mut Wire, count: usize, per_second: usize) -> Vec<u8> {
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while seen.len() < count {
        thread::sleep(PERIOD);
        let due = per_second * start.elapsed().as_millis() as usize / 1000;
        let wanted = due.min(count).saturating_sub(seen.len());
        let wanted = wanted.min(buffer.len());
        if wanted == 0 {
            continue;
        }
        let read = wire.stream.read(&mut buffer[..wanted]);
        let taken = read.unwrap_or_else(|error| {
            panic!(
                "{error} after {} bytes and {:?} of steady reading",
                seen.len(),
                start.elapsed()
            )
        });
        if taken == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..taken]);
    }
    seen
}
