//! A client with a zlib of its own, which keeps its window from one message to the next: what it gets back is what it
//! sent, and its inflater reads it.

use flate2::{Decompress, FlushDecompress, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringback::protocol::policy::Policy;

use crate::support::deflated::{self, End, Style};
use crate::support::frames;
use crate::support::pretend::Pretend;
use crate::support::streams::{self, Cuts};
use crate::support::{replies, request};

/// What a client offers.
#[derive(Clone, Debug)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// None inside: without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    fn header(&self) -> String {
        let mut offer = "Sec-WebSocket-Extensions: permessage-deflate".to_owned();
        if self.server_no_context_takeover {
            offer += "; server_no_context_takeover";
        }
        if self.client_no_context_takeover {
            offer += "; client_no_context_takeover";
        }
        if let Some(bits) = self.server_max_window_bits {
            offer += &format!("; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => offer += &format!("; client_max_window_bits={bits}"),
            Some(None) => offer += "; client_max_window_bits",
            None => {}
        }
        offer + "\r\n"
    }
}

fn offer() -> impl Strategy<Value = Offer> {
    let bits = || prop::option::of(9..=15_u8);
    (
        any::<bool>(),
        any::<bool>(),
        bits(),
        prop::option::of(bits()),
    )
        .prop_map(
            |(server_no_context_takeover, client_no_context_takeover, server, client)| Offer {
                server_no_context_takeover,
                client_no_context_takeover,
                server_max_window_bits: server,
                client_max_window_bits: client,
            },
        )
}

/// A message, and how it is sent.
#[derive(Clone, Debug)]
struct Message {
    text: bool,
    compressed: bool,
    bytes: Vec<u8>,
    style: Style,
    splits: Vec<Index>,
}

fn message() -> impl Strategy<Value = Message> {
    let size = || prop_oneof![4 => 0..100_usize, 3 => 0..5000_usize, 1 => 0..150_000_usize];
    let text = prop_oneof![
        (size(), any::<u64>()).prop_map(|(size, seed)| frames::prose(size, seed)),
        (size(), select(vec!["a", "repeated ", "\u{20ac}"]))
            .prop_map(|(size, word)| word.repeat(size / word.len()).into_bytes()),
    ];
    let noise = (size(), any::<u64>()).prop_map(|(size, seed)| frames::noise(size, seed));
    let bytes = prop_oneof![
        3 => text.prop_map(|bytes| (true, bytes)),
        1 => noise.prop_map(|bytes| (false, bytes)),
    ];
    let each = select(vec![usize::MAX, usize::MAX, 50, 4000]);
    let splits = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..6)];
    (
        bytes,
        prop::bool::weighted(0.8),
        select(vec![0, 1, 6, 9]),
        each,
        splits,
    )
        .prop_map(
            |((text, bytes), compressed, level, flushed_each, splits)| Message {
                text,
                compressed,
                bytes,
                style: Style {
                    level,
                    flushed_each,
                    end: End::Flushed,
                    window_bits: 15,
                },
                splits,
            },
        )
}

/// One parameter's value in what the server answered.
fn window_bits(extensions: &str, name: &str) -> Option<u8> {
    let value = extensions
        .split("; ")
        .find_map(|part| part.strip_prefix(name))?;
    Some(value.parse().expect("a number"))
}

/// What `payload` is inflated to by an inflater that has read all messages before it.
fn inflate(inflater: &mut Decompress, payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let bytes = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut rest = &bytes[..];
    loop {
        text.reserve(64 * 1024);
        let before = inflater.total_in();
        let status = inflater
            .decompress_vec(rest, &mut text, FlushDecompress::Sync)
            .map_err(|error| error.to_string())?;
        rest = &rest[(inflater.total_in() - before) as usize..];
        if status == Status::StreamEnd {
            return Err("the stream ends".to_owned());
        }
        if rest.is_empty() && text.len() < text.capacity() {
            return Ok(text);
        }
    }
}

fn run(offer: &Offer, messages: &[Message], cuts: &Cuts, inflation: usize) -> Result<(), String> {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.inflation = inflation;
    pretend.feed(&request::with_header(&offer.header()));
    let response = request::read(&pretend.sent).ok_or("no response")?;
    pretend.sent.clear();
    let Some(extensions) = response.header("sec-websocket-extensions") else {
        let can_be_met =
            offer.server_max_window_bits.is_none() || offer.client_max_window_bits.is_some();
        return if can_be_met {
            Err("declined".to_owned())
        } else {
            Ok(())
        };
    };
    if extensions.contains("client_max_window_bits") && offer.client_max_window_bits.is_none() {
        return Err("a client that cannot limit its window is told to".to_owned());
    }
    let own_bits = window_bits(extensions, "client_max_window_bits=")
        .or(offer.client_max_window_bits.flatten())
        .unwrap_or(15);
    let servers_bits = window_bits(extensions, "server_max_window_bits=").unwrap_or(15);
    let keeps_window = !extensions.contains("server_no_context_takeover");
    let mut stream = Vec::new();
    let mut sent = Vec::new();
    for message in messages {
        let opcode = if message.text {
            frames::TEXT
        } else {
            frames::BINARY
        };
        let style = Style {
            window_bits: own_bits,
            ..message.style.clone()
        };
        let payload = match message.compressed {
            true => deflated::deflate(&message.bytes, &style),
            false => message.bytes.clone(),
        };
        let ends: Vec<_> = message
            .splits
            .iter()
            .map(|split| split.index(payload.len() + 1))
            .collect();
        stream.extend(match message.compressed {
            true => frames::encode(&deflated::fragments(opcode, &payload, &ends)),
            false => frames::encode(&streams::fragment(opcode, &payload, &ends)),
        });
        sent.push(payload);
    }
    for piece in cuts.pieces(stream.len()) {
        pretend.feed(&stream[piece]);
    }
    let seen = replies::read_extended(&pretend.release(), true)?.outcome;
    let echoed: Vec<_> = seen.messages().collect();
    if echoed.len() != messages.len() || seen.close.is_some() {
        return Err(format!("{seen:?} for {} messages", messages.len()));
    }
    let fresh = || Decompress::new_with_window_bits(false, servers_bits);
    let mut inflater = fresh();
    for ((message, payload), echo) in messages.iter().zip(&sent).zip(echoed) {
        if (echo.text, echo.compressed, &echo.bytes) != (message.text, message.compressed, payload)
        {
            return Err(format!("{echo:?} for {message:?}"));
        }
        if message.compressed {
            let bytes = inflate(&mut inflater, &echo.bytes)?;
            if bytes != message.bytes {
                return Err(format!("inflated to {} bytes for {message:?}", bytes.len()));
            }
            if !keeps_window {
                inflater = fresh();
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_comes_back_as_its_own_inflater_reads_it(
        offer in offer(),
        messages in vec(message(), 1..8),
        cuts in streams::cuts(),
        inflation in select(vec![1, 10_000, 1 << 18]),
    ) {
        run(&offer, &messages, &cuts, inflation).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_plain_frame_between_compressed_ones_changes_nothing() {
    let text = b"the same again, the same again".to_vec();
    let one = |compressed| Message {
        text: true,
        compressed,
        bytes: text.clone(),
        style: Style::plain(),
        splits: Vec::new(),
    };
    let offer = Offer {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: None,
        client_max_window_bits: Some(None),
    };
    let messages = [one(true), one(false), one(true), one(true)];
    run(&offer, &messages, &Cuts::Whole, 1 << 18).expect("an echo");
}
