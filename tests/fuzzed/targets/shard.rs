//! The whole shard and an engine's decisions over a simulated kernel, the input being what chance decides first:
//! circumstances, crowd and faults.

use super::input::Input;
use crate::sim::{Chance, Style, run};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let style = input.pick(&Style::ALL);
    let seed = u64::from(input.byte());
    let guide = input.rest();
    let chance = Chance {
        guide,
        ..Chance::of(seed)
    };
    run(&chance, style, false);
}
