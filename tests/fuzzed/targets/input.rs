//! An input's first bytes decide the circumstances, the rest is what is sent. So an input can be read, and written by
//! hand, and where the fuzzer changes a byte it changes one thing.

use crate::support::streams::Cuts;

/// Bytes that have not been used yet.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// The next byte; zero behind the last.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of `choices`, by a byte.
    pub(crate) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()].clone()
    }

    /// How a stream is cut: a byte says in how many lengths, at most 7, then each has a byte. None are the whole.
    pub(crate) fn cuts(&mut self) -> Cuts {
        match self.byte() % 8 {
            0 => Cuts::Whole,
            count => Cuts::Lengths((0..count).map(|_| self.length()).collect()),
        }
    }

    /// 1 to 128, or 256 to 32,768 in steps of 256.
    fn length(&mut self) -> usize {
        match usize::from(self.byte()) {
            small @ 0..128 => small + 1,
            large => (large - 127) * 256,
        }
    }

    /// What comes before the next line feed, which is left out; all, if there is none.
    pub(crate) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
