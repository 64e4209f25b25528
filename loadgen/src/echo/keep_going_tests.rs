//! Where the load goes on: a wrong reply counts once, and spoils no other.

use super::*;

/// A load that goes on, and what it has sent.
fn start(protocol: Protocol, kind: Kind, size: usize, depth: usize) -> (Play, Vec<Vec<u8>>) {
    let mut play = Play::new(protocol, kind, size, depth);
    play.workload.keep_going = true;
    let sent = play.start();
    (play, sent)
}

/// The payload with one byte changed.
fn changed(payload: &[u8], at: usize) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload[at] ^= 1;
    payload
}

/// How many were right, how many wrong, and where the wrong ones were: message and offset.
fn counted(play: &Play) -> (u64, u64, Vec<(u64, u64)>) {
    let place = |(connection, mismatch): &(usize, Mismatch)| {
        assert_eq!(*connection, 7);
        (mismatch.message, mismatch.offset)
    };
    let places: Vec<_> = play.tally.mismatches.iter().map(place).collect();
    assert_eq!(play.tally.latency.len(), play.tally.messages);
    (play.tally.messages, play.tally.wrong, places)
}

#[test]
fn a_wrong_byte_counts_wherever_the_network_cuts() {
    for protocol in [Protocol::Websocket, Protocol::Tcp] {
        for at in [0, 7, 19] {
            let (_, sent) = start(protocol, Kind::Binary, 20, 3);
            let replies: Vec<Vec<u8>> = sent
                .iter()
                .enumerate()
                .map(|(number, payload)| {
                    let payload = match number {
                        1 => changed(payload, at),
                        _ => payload.clone(),
                    };
                    match protocol {
                        Protocol::Websocket => frame(0x82, &payload),
                        Protocol::Tcp => payload,
                    }
                })
                .collect();
            let stream = replies.concat();
            for cut in 0..=stream.len() {
                let (mut play, _) = start(protocol, Kind::Binary, 20, 3);
                play.receive(&stream[..cut]).unwrap();
                play.receive(&stream[cut..]).unwrap();
                assert_eq!(counted(&play), (2, 1, vec![(1, at as u64)]), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_reply_counts_once_however_much_is_wrong_with_it() {
    let (mut play, sent) = start(Protocol::Websocket, Kind::Text, 20, 2);
    // Another opcode, another length, other bytes, in fragments.
    let wrong = [
        frame(0x02, &changed(&sent[0][..5], 0)),
        frame(0x89, b"?"),
        frame(0x80, &changed(&sent[0][5..15], 9)),
    ];
    let stream = [wrong.concat(), frame(0x81, &sent[1])].concat();
    play.receive(&stream).unwrap();
    assert_eq!(counted(&play), (1, 1, vec![(0, 0)]));
    let (_, mismatch) = &play.tally.mismatches[0];
    assert!(mismatch.what.contains("came back as"), "{mismatch}");
}

#[test]
fn a_reply_of_another_length_spoils_no_other() {
    for length in [0, 1, 19, 21, 500] {
        let (mut play, sent) = start(Protocol::Websocket, Kind::Binary, 20, 2);
        let mut wrong = sent[0].clone();
        wrong.resize(length, b'+');
        let stream = [frame(0x82, &wrong), frame(0x82, &sent[1])].concat();
        for byte in &stream {
            play.receive(std::slice::from_ref(byte)).unwrap();
        }
        assert_eq!(counted(&play), (1, 1, vec![(0, 0)]), "{length} bytes");
    }
}

#[test]
fn a_compressed_reply_counts_once_too() {
    let agreement = DeflateAgreement::default();
    let mut play = Play::new(Protocol::Websocket, Kind::Binary, 60, 1);
    play.workload.keep_going = true;
    play.connection = Connection::with(Some(&agreement));
    let mut deflater = Deflater::new(&agreement);
    play.with(|connection, turn| connection.fill(turn));
    for _ in 0..3 {
        let bytes = play.connection.outgoing(0).unwrap().len();
        play.connection.outbox().sent(bytes);
        // Other bytes, and fewer.
        let mut reply = Vec::new();
        deflater.compress(&[b'!'; 59], &mut reply).unwrap();
        play.receive(&frame(0xc2, &reply)).unwrap();
    }
    assert_eq!(counted(&play), (0, 3, vec![(0, 0), (1, 0), (2, 0)]));
}

#[test]
fn the_first_of_many_are_described() {
    let (mut play, mut sent) = start(Protocol::Websocket, Kind::Binary, 20, 1);
    for _ in 0..50 {
        let payload = changed(&sent[0], 3);
        play.receive(&frame(0x82, &payload)).unwrap();
        sent = play.sent();
    }
    let (right, wrong, places) = counted(&play);
    assert_eq!((right, wrong), (0, 50));
    let expected: Vec<_> = (0..20).map(|message| (message, 3)).collect();
    assert_eq!(places, expected);
}

#[test]
fn what_nobody_asked_for_ends_the_load_all_the_same() {
    let (mut play, sent) = start(Protocol::Websocket, Kind::Binary, 20, 1);
    play.receive(&frame(0x82, &changed(&sent[0], 3))).unwrap();
    // Its successor has not been sent yet.
    let failure = play.receive(&frame(0x82, &sent[0])).unwrap_err();
    assert!(
        failure.to_string().contains("answers none of ours"),
        "{failure}"
    );
}
