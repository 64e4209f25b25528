//! What a load does where permessage-deflate was agreed on.

use super::*;

#[test]
fn compressed_messages_are_checked_as_what_they_inflate_to() {
    let agreement = DeflateAgreement::default();
    for (wrong, fragments) in [(false, 1), (false, 2), (true, 1)] {
        let mut play = Play::new(Protocol::Websocket, Kind::Text, 60, 1);
        play.workload.fragments = fragments;
        play.connection = Connection::with(Some(&agreement));
        let (mut inflater, mut deflater) = (Inflater::new(&agreement), Deflater::new(&agreement));
        play.with(|connection, turn| connection.fill(turn));
        let bytes = play.connection.outgoing(0).unwrap().to_vec();
        let sent = frames(&bytes);
        let first = if fragments == 1 { 0xc1 } else { 0x41 };
        assert_eq!((sent[0].0, sent.len()), (first, fragments));
        let mut message = Vec::new();
        let mut keep = |bytes: &[u8]| {
            message.extend_from_slice(bytes);
            Ok(())
        };
        for (_, payload) in &sent {
            inflater.receive(payload, 60, &mut keep).unwrap();
        }
        inflater.finish(60, &mut keep).unwrap();
        assert!(std::str::from_utf8(&message).is_ok());
        message[59] ^= u8::from(wrong);
        let mut reply = Vec::new();
        deflater.compress(&message, &mut reply).unwrap();
        let verdict = play.receive(&frame(0xc1, &reply));
        assert_eq!(verdict.is_err(), wrong);
        assert_eq!(play.tally.compressed, u64::from(!wrong));
    }
}

/// RFC 7692 section 6.2: whether a message is compressed is said with each, and one that is not touches no window.
#[test]
fn an_uncompressed_reply_may_come_between_compressed_ones() {
    let agreement = DeflateAgreement::default();
    let mut play = Play::new(Protocol::Websocket, Kind::Text, 60, 1);
    play.connection = Connection::with(Some(&agreement));
    let (mut inflater, mut deflater) = (Inflater::new(&agreement), Deflater::new(&agreement));
    play.with(|connection, turn| connection.fill(turn));
    for number in 0..6 {
        let bytes = play.connection.outgoing(0).unwrap().to_vec();
        play.connection.outbox().sent(bytes.len());
        let sent = frames(&bytes);
        let mut message = Vec::new();
        let mut keep = |bytes: &[u8]| {
            message.extend_from_slice(bytes);
            Ok(())
        };
        inflater.receive(&sent[0].1, 60, &mut keep).unwrap();
        inflater.finish(60, &mut keep).unwrap();
        let mut reply = message.clone();
        let is_compressed = number % 3 != 1;
        if is_compressed {
            reply.clear();
            deflater.compress(&message, &mut reply).unwrap();
        }
        let first = if is_compressed { 0xc1 } else { 0x81 };
        play.receive(&frame(first, &reply)).unwrap();
    }
    assert_eq!((play.tally.messages, play.tally.compressed), (6, 4));
}
