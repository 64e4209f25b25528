//! DEFLATE read slowly (RFC 1951): a bit at a time, every code looked up by comparing it with all of its length.
//! It takes bytes as they come and tells what is wrong as soon as a bit shows it.

use std::ops::ControlFlow::{self, Break, Continue};

/// Why a step cannot be made.
enum Obstacle {
    /// Too few bits have come.
    Short,
    /// The bits are no DEFLATE data.
    Bad,
}

use Obstacle::{Bad, Short};

/// A Huffman code: of each symbol its length in bits and its code.
#[derive(Clone, Debug)]
struct Code(Vec<(u8, u16)>);

#[derive(Clone, Debug)]
enum Block {
    Stored { left: usize },
    Coded { literals: Code, distances: Code },
}

/// A stream of streams, as far as it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflate {
    bytes: Vec<u8>,
    /// The next bit.
    at: usize,
    block: Option<Block>,
    is_last: bool,
    /// Where the stream began whose window is used, in `text`.
    start: usize,
    /// Where it began in `bytes`.
    begun: usize,
    /// All that it was inflated to.
    pub(crate) text: Vec<u8>,
}

impl Inflate {
    /// Takes a byte; false if it cannot stand there.
    pub(crate) fn push(&mut self, byte: u8) -> bool {
        self.bytes.push(byte);
        loop {
            let before = (self.at, self.text.len());
            match self.step() {
                Ok(()) => {}
                Err(Short) => {
                    (self.at, _) = before;
                    self.text.truncate(before.1);
                    return true;
                }
                Err(Bad) => return false,
            }
        }
    }

    /// Ends the message, once the bytes are added that may be left out (RFC 7692, section 7.2.2); false if it ends
    /// neither with a stream nor between blocks.
    pub(crate) fn end(&mut self) -> bool {
        const LEFT_OUT: [u8; 4] = [0, 0, 0xff, 0xff];
        let is_whole = self.is_fresh() || self.bytes.ends_with(&LEFT_OUT);
        let is_right = is_whole || LEFT_OUT.into_iter().all(|byte| self.push(byte));
        let is_between = self.block.is_none() && self.at == 8 * self.bytes.len();
        is_right && (self.is_fresh() || is_between)
    }

    fn is_fresh(&self) -> bool {
        self.block.is_none() && self.begun == self.bytes.len()
    }

    fn bits(&mut self, count: usize) -> Result<usize, Obstacle> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(Short)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, Obstacle> {
        let mut bits = 0;
        for length in 1..=15 {
            bits = bits << 1 | self.bits(1)? as u16;
            if let Some(symbol) = code.0.iter().position(|known| *known == (length, bits)) {
                return Ok(symbol);
            }
        }
        Err(Bad)
    }

    fn step(&mut self) -> Result<(), Obstacle> {
        match self.block.take() {
            None => {
                let (is_last, kind) = (self.bits(1)? == 1, self.bits(2)?);
                self.block = Some(match kind {
                    0 => self.stored()?,
                    1 => fixed(),
                    2 => self.dynamic()?,
                    _ => return Err(Bad),
                });
                self.is_last = is_last;
            }
            Some(Block::Stored { left: 0 }) => self.end_block(),
            Some(Block::Stored { left }) => {
                self.block = Some(Block::Stored { left });
                let byte = self.bits(8)? as u8;
                self.text.push(byte);
                self.block = Some(Block::Stored { left: left - 1 });
            }
            Some(Block::Coded {
                literals,
                distances,
            }) => {
                let ends = self.coded(&literals, &distances);
                if !matches!(ends, Ok(Break(()))) {
                    self.block = Some(Block::Coded {
                        literals,
                        distances,
                    });
                }
                if ends?.is_break() {
                    self.end_block();
                }
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        if self.is_last {
            self.is_last = false;
            self.at = self.at.next_multiple_of(8);
            self.begun = self.at / 8;
            self.start = self.text.len();
        }
    }

    fn stored(&mut self) -> Result<Block, Obstacle> {
        self.at = self.at.next_multiple_of(8);
        let (left, inverted) = (self.bits(16)?, self.bits(16)?);
        if left ^ inverted == 0xffff {
            Ok(Block::Stored { left })
        } else {
            Err(Bad)
        }
    }

    fn dynamic(&mut self) -> Result<Block, Obstacle> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let (literals, distances, lengths) =
            (257 + self.bits(5)?, 1 + self.bits(5)?, 4 + self.bits(4)?);
        if literals > 286 || distances > 30 {
            return Err(Bad);
        }
        let mut of_lengths = [0; 19];
        for place in &ORDER[..lengths] {
            of_lengths[*place] = self.bits(3)? as u8;
        }
        // A code without symbols is none, but zlib says so only behind the lengths, for each of which it takes a bit.
        let is_empty = of_lengths == [0; 19];
        let code = code(&of_lengths, is_empty).ok_or(Bad)?;
        let mut all = Vec::new();
        while all.len() < literals + distances {
            let symbol = if is_empty {
                self.bits(1).map(|_| 0)?
            } else {
                self.symbol(&code)?
            };
            let (value, count) = match symbol {
                16 => (*all.last().ok_or(Bad)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (length as u8, 1),
            };
            all.extend(vec![value; count]);
        }
        if all.len() > literals + distances || all[256] == 0 {
            return Err(Bad);
        }
        let (of_literals, of_distances) = all.split_at(literals);
        Ok(Block::Coded {
            literals: self::code(of_literals, true).ok_or(Bad)?,
            distances: self::code(of_distances, true).ok_or(Bad)?,
        })
    }

    /// A literal, a match, or the end of the block.
    fn coded(&mut self, literals: &Code, distances: &Code) -> Result<ControlFlow<()>, Obstacle> {
        let (length_code, group) = match self.symbol(literals)? {
            literal @ 0..=255 => {
                self.text.push(literal as u8);
                return Ok(Continue(()));
            }
            256 => return Ok(Break(())),
            symbol @ 257..=284 => (symbol - 257, 4),
            285 => (28, 4),
            _ => return Err(Bad),
        };
        let length = if length_code == 28 {
            258
        } else {
            3 + self.extended(length_code, group)?
        };
        let distance = match self.symbol(distances)? {
            symbol @ 0..=29 => 1 + self.extended(symbol, 2)?,
            _ => return Err(Bad),
        };
        let from = self.text.len().checked_sub(distance).ok_or(Bad)?;
        if from < self.start {
            return Err(Bad);
        }
        for place in from..from + length {
            self.text.push(self.text[place]);
        }
        Ok(Continue(()))
    }

    /// The number of a symbol of which `group` share a count of further bits (section 3.2.5).
    fn extended(&mut self, symbol: usize, group: usize) -> Result<usize, Obstacle> {
        let Some(bits) = (symbol / group).checked_sub(1) else {
            return Ok(symbol);
        };
        let base = (group + symbol % group) << bits;
        Ok(base + self.bits(bits)?)
    }
}

fn fixed() -> Block {
    let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
    Block::Coded {
        literals: code(&lengths, true).expect("a whole code"),
        distances: code(&[5; 32], true).expect("a whole code"),
    }
}

/// The code of these lengths (section 3.2.2); none if there is none. One code alone may be half of one.
fn code(lengths: &[u8], may_be_single: bool) -> Option<Code> {
    let mut codes = vec![(0, 0); lengths.len()];
    let (mut next, mut used) = (0_u32, 0_u32);
    for length in 1..=15 {
        next <<= 1;
        for symbol in (0..lengths.len()).filter(|symbol| lengths[*symbol] == length) {
            codes[symbol] = (length, next as u16);
            next += 1;
            used += 1 << (15 - length);
        }
    }
    let count = lengths.iter().filter(|length| **length > 0).count();
    let is_single =
        may_be_single && (count == 0 || lengths.iter().all(|length| *length < 2) && count == 1);
    (used == 1 << 15 || is_single).then_some(Code(codes))
}
