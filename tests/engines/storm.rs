//! Everything at once for a while: honest peers, slow readers, and peers that are gone in the middle.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kernel;
use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::wire::{Wire, echo_of};

/// How long a storm lasts.
const STORM: Duration = Duration::from_secs(1);

/// How much a server may have grown when everyone has left.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Of each kind of peer.
const PEERS: u64 = 4;

/// Around every limit that a message may meet.
const SIZES: [usize; 12] = [
    1, 100, 125, 126, 4_096, 16_383, 16_384, 16_385, 40_000, 65_535, 65_536, 200_000,
];

pub(crate) fn a_storm_leaves_nothing_behind(engine: &'static str) {
    let classic = ["--uring-incremental", "off"];
    let tiny = ["--uring-buffers", "2", "--uring-buffer-size", "4KiB"];
    for options in [&classic[..], &tiny, &[&classic[..], &tiny].concat()] {
        // So long that a connection that was forgotten is not overlooked.
        let patient = ["--drain-timeout", "10m", "--idle-timeout", "off"];
        weather(Server::start(engine, &[options, &patient].concat()));
    }
}

fn weather(running: Server) {
    let server = &running;
    let resident_before = server.resident_bytes();
    let end = Instant::now() + STORM;
    thread::scope(|scope| {
        for peer in 0..PEERS {
            let seeds = move || (peer << 32..).take_while(move |_| Instant::now() < end);
            scope.spawn(move || {
                let mut wire = Wire::upgrade(server);
                for seed in seeds() {
                    let size = SIZES[seed as usize % SIZES.len()];
                    wire.assert_echoes_binary(&frames::noise(size, seed));
                }
            });
            scope.spawn(move || seeds().for_each(|seed| read_slowly(server, seed)));
            scope.spawn(move || seeds().for_each(|seed| vanish(server, seed)));
        }
    });
    Wire::upgrade(server).assert_echoes_binary(&frames::noise(70_000, 23));
    until("every connection is closed", || {
        (kernel::accepted_count(server) == 0).then_some(())
    });
    let growth = server.resident_bytes().saturating_sub(resident_before);
    assert!(growth <= GROWTH_BYTES_MAX, "grown by {growth} bytes");
    server.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(0));
}

/// The stream of a peer: some messages, small ones and large ones, and their echoes.
fn messages(seed: u64, count: usize) -> (Vec<u8>, Vec<u8>) {
    let dice = frames::noise(count, seed);
    let messages: Vec<_> = dice
        .iter()
        .map(|die| {
            let size = [10, 3_000, 60_000][usize::from(die % 3)];
            Frame::binary(&frames::noise(size, seed + u64::from(*die)))
        })
        .collect();
    let echoes = messages.iter().flat_map(echo_of).collect();
    (frames::encode(&messages), echoes)
}

/// Sends much, and reads it after a while, through a small window.
fn read_slowly(server: &Server, seed: u64) {
    let mut wire = Wire::connect_narrow(server, 4096);
    wire.handshake();
    let (stream, echoes) = messages(seed, 40);
    let sending = wire.send_aside(stream);
    thread::sleep(Duration::from_millis(seed % 200));
    assert!(
        wire.read_exact(echoes.len()) == echoes,
        "a slow reader, seed {seed}: another echo"
    );
    sending.join().expect("all is sent");
}

/// Sends some of its stream, and leaves in one of three ways.
fn vanish(server: &Server, seed: u64) {
    let dice = frames::noise(8, seed);
    let mut wire = match dice[0] % 2 {
        0 => Wire::connect(server),
        _ => Wire::connect_narrow(server, 4096),
    };
    wire.handshake();
    let (stream, echoes) = messages(seed, [1, 5, 60][usize::from(dice[1] % 3)]);
    let cut = 1 + u32::from_le_bytes([dice[2], dice[3], dice[4], 0]) as usize % stream.len();
    wire.stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .expect("a timeout");
    // It may be that the server takes no more, since nothing is read.
    let _ = wire.stream.write_all(&stream[..cut]);
    match dice[5] % 3 {
        0 => wire.reset(),
        1 => drop(wire),
        _ => {
            wire.finish();
            let echo = wire.read_to_end();
            assert!(
                echoes.starts_with(&echo),
                "half closed, seed {seed}: another echo"
            );
        }
    }
}
