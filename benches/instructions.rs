//! How many instructions the pure parts take, counted by callgrind and held to what is recorded in
//! `instructions.toml`. Unlike times, counts are the same on a busy machine.
//!
//! Each case has answered rightly once before it is counted, so slabs are warm, and the processor's features
//! are known.
#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the harness's macros write functions without documentation, and whole paths"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use gungraun::{library_benchmark, library_benchmark_group};
use ringback::http::Settings;
use ringback::protocol::utf8::Validator;
use ringback::protocol::{Policy, Session};
use ringback_mask::unmask;

use support::handshakes::{self, BROWSER, DEFLATING, MINIMAL};
use support::ours::Worker;
use support::streams::{PROSE, Stream, header, noise, records, text};

const ASCII: &str = PROSE[0].1;
const CHINESE: &str = PROSE[2].1;

/// First bytes of frames that are whole (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

const KEY: [u8; 4] = [0x1F, 0x2E, 0x3D, 0x4C];

const PREFIX: &str = "Received: ";

/// How far a count may be from what is recorded, in percent. Another patch of the compiler moves counts by
/// less; a change worth a word moves them by more.
const MARGIN_PERCENT: f64 = 3.0;

const RECORD: &str = "benches/instructions.toml";

/// A connection, and what comes on it: one receive after the other.
struct Peer {
    worker: Worker,
    session: Session,
    receives: Vec<Vec<u8>>,
}

impl Peer {
    /// A connection just accepted, after another has been given the same and `is_right` has seen the answer.
    /// Ordinary HTTP is answered, as the server does by default.
    fn knocking(request: &[u8], is_right: impl Fn(&[u8]) -> bool) -> &'static mut Self {
        let policy = Policy {
            http: true,
            elsewhere: Settings::default().elsewhere(),
            ..Policy::default()
        };
        Peer::after(policy, &[], &[request], is_right)
    }

    /// The same with a connection that is upgraded.
    fn upgraded(
        policy: Policy,
        receives: &[&[u8]],
        is_right: impl Fn(&[u8]) -> bool,
    ) -> &'static mut Self {
        Peer::after(policy, MINIMAL, receives, is_right)
    }

    fn after(
        policy: Policy,
        before: &[u8],
        receives: &[&[u8]],
        is_right: impl Fn(&[u8]) -> bool,
    ) -> &'static mut Self {
        let mut worker = Worker::of(policy);
        let mut open = || {
            let mut session = worker.accept();
            if !before.is_empty() {
                worker.answer(&mut session, &mut before.to_vec());
            }
            session
        };
        let (mut rehearsing, session) = (open(), open());
        let mut answer = Vec::new();
        for lent in receives {
            let mut lent = lent.to_vec();
            let reply = worker.answer(&mut rehearsing, &mut lent);
            worker.send(reply, &lent, |bytes| answer.extend(bytes));
        }
        assert!(is_right(&answer), "{:?}", String::from_utf8_lossy(&answer));
        // Nothing is dropped while instructions are counted.
        Box::leak(Box::new(Peer {
            worker,
            session,
            receives: receives.iter().map(|lent| lent.to_vec()).collect(),
        }))
    }

    /// A connection on which `stream` comes in one receive.
    fn sending(stream: &Stream) -> &'static mut Self {
        Peer::upgraded(Policy::default(), &[&stream.bytes], |answer| {
            answer == stream.replies
        })
    }

    /// The same where compressed messages are agreed to.
    fn deflating(stream: &Stream) -> &'static mut Self {
        Peer::after(Policy::default(), DEFLATING, &[&stream.bytes], |answer| {
            answer == stream.replies
        })
    }

    /// The same in two receives, cut in the middle.
    fn sending_in_two(stream: &Stream) -> &'static mut Self {
        let (head, tail) = stream.bytes.split_at(stream.bytes.len() / 2);
        Peer::upgraded(Policy::default(), &[head, tail], |answer| {
            answer == stream.replies
        })
    }

    /// A connection on which each of these texts is answered with a prefix.
    fn prefixed(frames: usize, text: &str) -> &'static mut Self {
        let policy = Policy {
            prefix: Some(PREFIX.into()),
            ..Policy::default()
        };
        let mut reply = header(TEXT, PREFIX.len() + text.len(), None);
        reply.extend([PREFIX, text].concat().bytes());
        let expected = reply.repeat(frames);
        let stream = Stream::text("prefixed", frames, text);
        Peer::upgraded(policy, &[&stream.bytes], |answer| answer == expected)
    }

    /// A connection on which one control frame comes, answered with one that begins with `reply`.
    fn controlling(first: u8, payload: &[u8], reply: u8) -> &'static mut Self {
        let mut frame = header(first, payload.len(), Some(KEY));
        frame.extend(payload);
        let start = frame.len() - payload.len();
        unmask(&mut frame[start..], KEY);
        let mut expected = header(reply, payload.len(), None);
        expected.extend(payload);
        Peer::upgraded(Policy::default(), &[&frame], |answer| answer == expected)
    }
}

fn is_upgrade(answer: &[u8]) -> bool {
    handshakes::check(answer).is_ok()
}

/// A version of the protocol that nobody speaks any more.
const OUTDATED: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n";

fn is_refusal(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 426 ")
}

#[library_benchmark]
#[bench::binary_256_x_16_bytes(Peer::sending(Stream::binary(256, 16)))]
#[bench::text_ascii_256_x_32_bytes(Peer::sending(Stream::text("ASCII", 256, &text(ASCII, 32))))]
#[bench::text_chinese_256_x_32_bytes(Peer::sending(Stream::text("Chinese", 256, &text(CHINESE, 32))))]
#[bench::binary_64_kib(Peer::sending(Stream::binary(1, 64 << 10)))]
#[bench::text_ascii_64_kib(Peer::sending(Stream::text("ASCII", 1, &text(ASCII, 64 << 10))))]
#[bench::text_chinese_64_kib(Peer::sending(Stream::text("Chinese", 1, &text(CHINESE, 64 << 10))))]
#[bench::binary_1_kib(Peer::sending(Stream::binary(1, 1 << 10)))]
#[bench::deflated_binary_256_x_16_bytes(Peer::deflating(Stream::deflated_binary(256, 16)))]
#[bench::deflated_binary_1_kib(Peer::deflating(Stream::deflated_binary(1, 1 << 10)))]
#[bench::deflated_binary_64_kib(Peer::deflating(Stream::deflated_binary(1, 64 << 10)))]
#[bench::deflated_text_1_kib(Peer::deflating(Stream::deflated_text(&records(1 << 10))))]
#[bench::deflated_text_64_kib(Peer::deflating(Stream::deflated_text(&records(64 << 10))))]
#[bench::binary_1_kib_cut_in_two(Peer::sending_in_two(Stream::binary(1, 1 << 10)))]
#[bench::binary_64_kib_cut_in_two(Peer::sending_in_two(Stream::binary(1, 64 << 10)))]
#[bench::prefix_256_x_32_bytes(Peer::prefixed(256, &text(ASCII, 32)))]
#[bench::ping(Peer::controlling(PING, b"ping", PONG))]
#[bench::close(Peer::controlling(CLOSE, &1000_u16.to_be_bytes(), CLOSE))]
#[bench::upgrade_shortest(Peer::knocking(MINIMAL, is_upgrade))]
#[bench::upgrade_browser(Peer::knocking(BROWSER, is_upgrade))]
#[bench::refusal(Peer::knocking(OUTDATED, is_refusal))]
fn receive(peer: &'static mut Peer) {
    for lent in &mut peer.receives {
        let reply = peer.worker.answer(&mut peer.session, black_box(lent));
        peer.worker.send(reply, lent, |bytes| {
            black_box(bytes);
        });
    }
}

fn payload(bytes: usize) -> &'static mut [u8] {
    let payload = noise(bytes).leak();
    unmask(payload, KEY);
    payload
}

#[library_benchmark]
#[bench::of_64_kib(payload(64 << 10))]
fn unmasking(payload: &'static mut [u8]) {
    unmask(black_box(payload), KEY);
}

fn is_utf8(text: &str) -> bool {
    let mut validator = Validator::default();
    validator.push(text.as_bytes()).is_ok() && validator.is_complete()
}

fn prose(prose: &str, bytes: usize) -> &'static str {
    let text = text(prose, bytes).leak();
    assert!(is_utf8(text));
    text
}

#[library_benchmark]
#[bench::ascii_1_kib(prose(ASCII, 1 << 10))]
#[bench::chinese_1_kib(prose(CHINESE, 1 << 10))]
fn utf8(text: &'static str) -> bool {
    is_utf8(black_box(text))
}

library_benchmark_group!(name = instructions, benchmarks = [receive, unmasking, utf8]);

/// The harness. It counts each case in a process of its own: this program, started with `--gungraun-run`.
mod harness {
    use super::instructions;

    gungraun::main!(library_benchmark_groups = instructions);

    /// Counts. Ends the process if that fails.
    pub(super) fn run() {
        main();
    }
}

/// What a case took, and the profile that tells where.
struct Count {
    instructions: u64,
    profile: PathBuf,
}

/// All counts of this run, by the name of the case: those whose profile is no older than `start`.
fn counts(start: SystemTime) -> Result<BTreeMap<String, Count>> {
    let executable = std::env::current_exe()?;
    let target = executable
        .ancestors()
        .nth(3)
        .context("not run from a target folder")?;
    let mut found = BTreeMap::new();
    let mut folders = vec![target.join("gungraun")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata()?.modified()? >= start
                && let Some(instructions) = instructions(&path)?
            {
                let name = folder.file_name().unwrap_or_default();
                let count = Count {
                    instructions,
                    profile: path,
                };
                found.insert(name.to_string_lossy().into_owned(), count);
            }
        }
    }
    Ok(found)
}

/// The instructions in a callgrind profile; none: `path` is something else.
fn instructions(path: &Path) -> Result<Option<u64>> {
    if path.extension().is_none_or(|extension| extension != "out") {
        return Ok(None);
    }
    let profile = fs::read_to_string(path)?;
    let totals = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals:"));
    let totals = totals.context("a profile without totals")?;
    // The first event is the instruction.
    let first = totals.split_whitespace().next().unwrap_or_default();
    Ok(Some(first.parse().with_context(|| totals.to_owned())?))
}

/// What `instructions.toml` says, by the name of the case.
fn recorded() -> Result<BTreeMap<String, u64>> {
    let functions: BTreeMap<String, BTreeMap<String, u64>> =
        toml::from_str(include_str!("instructions.toml")).context(RECORD)?;
    let cases = functions.into_iter().flat_map(|(function, cases)| {
        cases
            .into_iter()
            .map(move |(case, count)| (format!("{function}.{case}"), count))
    });
    Ok(cases.collect())
}

/// Compares what was counted with what is recorded, and says what is wrong.
fn complaints(counts: &BTreeMap<String, Count>, recorded: &BTreeMap<String, u64>) -> Vec<String> {
    let complaint = |(name, count): (&String, &Count)| {
        let seen = count.instructions;
        let Some(&recorded) = recorded.get(name) else {
            return Some(format!("{name} is not recorded: {name} = {seen}"));
        };
        let percent = (seen as f64 / recorded as f64 - 1.0) * 100.0;
        let so_record = format!("if that is right, record {name} = {seen}");
        if percent > MARGIN_PERCENT {
            let profile = count.profile.display();
            Some(format!(
                "{name} took {seen} instructions, {percent:.1} % more than {recorded}; see where: \
                 callgrind_annotate --show=Ir {profile}; {so_record}"
            ))
        } else if percent < -MARGIN_PERCENT {
            Some(format!(
                "{name} took {seen} instructions, {:.1} % fewer than {recorded}; {so_record}",
                -percent
            ))
        } else {
            None
        }
    };
    counts.iter().filter_map(complaint).collect()
}

fn check(start: SystemTime) -> Result<ExitCode> {
    let (counts, recorded) = (counts(start)?, recorded()?);
    let mut complaints = complaints(&counts, &recorded);
    // Unless some were asked for by name, all are counted.
    if std::env::args().skip(1).eq(["--bench"]) {
        let uncounted = recorded.keys().filter(|name| !counts.contains_key(*name));
        complaints.extend(uncounted.map(|name| format!("{name} is recorded and was not counted")));
    }
    for complaint in &complaints {
        eprintln!("{RECORD}: {complaint}");
    }
    if !complaints.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "{} counts, each within {MARGIN_PERCENT} % of {RECORD}",
        counts.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn main() -> Result<ExitCode> {
    let is_counted = std::env::args().nth(1).as_deref() == Some("--gungraun-run");
    let start = SystemTime::now();
    harness::run();
    if is_counted {
        return Ok(ExitCode::SUCCESS);
    }
    check(start)
}
