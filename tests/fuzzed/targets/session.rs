//! Any bytes after the handshake, cut anywhere, whatever memory there is: what comes back is what the oracle says.

use ringback::protocol::session::INFLATION_BYTES_MAX;

use super::input::Input;
use crate::support::oracle::Rules;
use crate::support::setting::Setting;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setting = Setting {
        rules: Rules {
            message_bytes_max: input.pick(&[None, Some(0), Some(1), Some(125), Some(126)]),
            prefix: input.pick(&[None, Some("Received: ".into()), Some("".into())]),
            deflates: false,
        },
        room: input.pick(&[1 << 20, 1, 16, 4096]),
        ..circumstances(input.byte())
    };
    run(&setting, input);
}

/// The same where compressed messages are agreed to.
pub fn check_deflate(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setting = Setting {
        rules: Rules {
            // The oracle inflates slowly, and a bomb is none if it may not go off.
            message_bytes_max: input.pick(&[Some(20_000), Some(0), Some(1), Some(100)]),
            prefix: None,
            deflates: true,
        },
        inflation: input.pick(&[INFLATION_BYTES_MAX, 1, 1000]),
        ..Setting::plain(true)
    };
    run(&setting, input);
}

/// Whether there is memory to hold anything in, whether it is put down and picked up in every step, whether it is
/// offered a byte at a time: by the lowest bits.
fn circumstances(choices: u8) -> Setting {
    let mut setting = Setting::plain(choices & 1 == 0);
    setting.is_carried = choices & 2 != 0;
    if choices & 4 != 0 {
        setting.offer_bytes_max = 1;
    }
    setting
}

fn run(setting: &Setting, mut input: Input<'_>) {
    let cuts = input.cuts();
    let stream = input.rest();
    setting
        .run(stream, &cuts)
        .unwrap_or_else(|why| panic!("{setting:?} {cuts:?}: {why}"));
}
