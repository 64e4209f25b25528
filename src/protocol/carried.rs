//! The encoding of what is carried of a connection from one owner to the next, perhaps in another process.
//!
//! Numbers are in network order; what varies in length says it before. A moment is written as the time that it
//! is away, since clocks of two processes need not have the same start. Nothing here trusts what it reads: what
//! is damaged or foreign is a [`Damage`], and never a panic or an allocation larger than what came.

use std::fmt;
use std::time::Duration;

use super::Moment;

/// What is wrong with something carried, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The field that cannot be read.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes end before it does.
    Short,
    /// It has a value that it cannot have, or not beside the others.
    Value,
    /// More bytes follow it than should.
    Long,
}

impl Damage {
    /// `field` has a value that it cannot have, or not beside the others.
    pub const fn value(field: &'static str) -> Self {
        Damage {
            field,
            problem: Problem::Value,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { field, problem } = self;
        match problem {
            Problem::Short => write!(formatter, "the bytes end within `{field}`"),
            Problem::Value => write!(formatter, "`{field}` has a value that it cannot have here"),
            Problem::Long => write!(formatter, "bytes follow `{field}`, which is the last field"),
        }
    }
}

impl std::error::Error for Damage {}

/// The mark of [`Moment::NEVER`].
const NEVER: u64 = u64::MAX;

/// Writes fields, one after another.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    now: Moment,
}

impl Writer {
    /// For an owner whose clock says `now`.
    pub fn new(now: Moment) -> Self {
        Writer {
            bytes: Vec::new(),
            now,
        }
    }

    /// Writes a yes or no, in a byte.
    pub fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Writes a byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Writes two bytes.
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Writes eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Writes bytes, and before them, in eight bytes, how many they are.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Writes as many bytes as the reader knows there to be.
    pub fn array(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Writes a moment to come, as the nanoseconds until then. One that has passed is now.
    pub fn until(&mut self, value: Moment) {
        if value == Moment::NEVER {
            return self.u64(NEVER);
        }
        let left = value.since(self.now).as_nanos();
        self.u64(u64::try_from(left).unwrap_or(NEVER - 1));
    }

    /// Writes a moment that has passed, as the nanoseconds since then.
    pub fn since(&mut self, value: Moment) {
        let passed = self.now.since(value).as_nanos();
        self.u64(u64::try_from(passed).unwrap_or(u64::MAX));
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads fields in the order in which they were written. Each is read by its name, which a [`Damage`] tells.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    now: Moment,
    last: &'static str,
}

impl<'a> Reader<'a> {
    /// For an owner whose clock says `now`.
    pub fn new(bytes: &'a [u8], now: Moment) -> Self {
        Reader {
            rest: bytes,
            now,
            last: "",
        }
    }

    /// Reads `count` bytes.
    ///
    /// # Errors
    /// Where there are fewer, as with all that is read.
    pub fn slice(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Damage> {
        self.last = field;
        let problem = Problem::Short;
        let split = self.rest.split_at_checked(count);
        let (value, rest) = split.ok_or(Damage { field, problem })?;
        self.rest = rest;
        Ok(value)
    }

    /// Reads as many bytes as the array has.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Damage> {
        let mut value = [0; N];
        value.copy_from_slice(self.slice(field, N)?);
        Ok(value)
    }

    /// Reads a yes or no.
    ///
    /// # Errors
    /// Where it is missing, or neither.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, Damage> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damage::value(field)),
        }
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Damage> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// Where they are missing.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Damage> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// Where they are missing.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Damage> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Reads bytes whose number stands before them, of which there may be `max` at most.
    ///
    /// # Errors
    /// Where there are fewer than that number, or it is larger than `max`.
    pub fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], Damage> {
        let count = usize::try_from(self.u64(field)?);
        let count = count.ok().filter(|count| *count <= max);
        self.slice(field, count.ok_or(Damage::value(field))?)
    }

    /// Reads a moment to come.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn until(&mut self, field: &'static str) -> Result<Moment, Damage> {
        Ok(match self.u64(field)? {
            NEVER => Moment::NEVER,
            left => self.now + Duration::from_nanos(left),
        })
    }

    /// Reads a moment that has passed. One from before the start of this clock is its start.
    ///
    /// # Errors
    /// Where it is missing.
    pub fn since(&mut self, field: &'static str) -> Result<Moment, Damage> {
        let passed = self.u64(field)?;
        Ok(Moment::from_nanos(
            self.now.as_nanos().saturating_sub(passed),
        ))
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// All has been read.
    ///
    /// # Errors
    /// Where something is left.
    pub fn end(self) -> Result<(), Damage> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Damage {
            field: self.last,
            problem: Problem::Long,
        })
    }
}
