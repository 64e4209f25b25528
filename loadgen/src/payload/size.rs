//! How long messages are: fixed, a list, a range, log-normal, or as observed elsewhere.

use std::sync::Arc;

use rand_distr::LogNormal;

use super::{Random, read_file};
use crate::quantity::parse_size;

/// Largest message: fits the 32-bit length of one io_uring send with room for its header.
const SIZE_BYTES_MAX: usize = 1 << 30;

/// Longest file of observed sizes.
const FILE_MIB_MAX: u64 = 64;

/// A log-normal distribution is cut off this many standard deviations above its median: one message
/// in 30,000 would be longer.
const SIGMAS_MAX: f64 = 4.0;

/// A distribution of payload sizes in bytes, and the text that asked for it.
#[derive(Clone, Debug)]
pub struct Sizes {
    text: String,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Fixed(usize),
    /// Each as likely as the others.
    List(Arc<[usize]>),
    /// Both ends included.
    Range(usize, usize),
    /// Cut off at the second.
    LogNormal(LogNormal<f64>, usize),
}

impl Sizes {
    /// Reads `32`, `32,1KiB`, `16..4KiB`, `log-normal:1KiB,1.0` or `file:PATH`. The error says what would
    /// be right.
    pub(crate) fn parse(text: &str) -> Result<Sizes, String> {
        let shape = if let Some(path) = text.strip_prefix("file:") {
            Shape::List(read_sizes(path)?)
        } else if let Some(parameters) = text.strip_prefix("log-normal:") {
            parse_log_normal(parameters)?
        } else if let Some((low, high)) = text.split_once("..") {
            let (low, high) = (bounded_size(low)?, bounded_size(high)?);
            if low > high {
                let wrong = format!("the range {text:?} is empty; put the smaller size first");
                return Err(wrong);
            }
            Shape::Range(low, high)
        } else if text.contains(',') {
            let sizes: Result<Vec<_>, _> = text.split(',').map(bounded_size).collect();
            Shape::List(sizes?.into())
        } else {
            Shape::Fixed(bounded_size(text)?)
        };
        Ok(Sizes {
            text: text.to_owned(),
            shape,
        })
    }

    /// One size.
    pub(crate) fn fixed(bytes: usize) -> Sizes {
        Sizes {
            text: bytes.to_string(),
            shape: Shape::Fixed(bytes),
        }
    }

    /// As it was asked for.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The smallest size that can occur.
    pub(crate) fn bytes_min(&self) -> usize {
        match &self.shape {
            Shape::Fixed(bytes) => *bytes,
            Shape::List(sizes) => sizes.iter().copied().min().unwrap_or_default(),
            Shape::Range(low, _) => *low,
            Shape::LogNormal(..) => 1,
        }
    }

    /// The largest size that can occur.
    pub fn bytes_max(&self) -> usize {
        match &self.shape {
            Shape::Fixed(bytes) => *bytes,
            Shape::List(sizes) => sizes.iter().copied().max().unwrap_or_default(),
            Shape::Range(_, high) => *high,
            Shape::LogNormal(_, bytes_max) => *bytes_max,
        }
    }

    /// The next message's size.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        match &self.shape {
            Shape::Fixed(bytes) => *bytes,
            Shape::List(sizes) => sizes[random.below(sizes.len())],
            Shape::Range(low, high) => low + random.below(high - low + 1),
            Shape::LogNormal(sizes, bytes_max) => {
                (random.sample(sizes).round() as usize).clamp(1, *bytes_max)
            }
        }
    }
}

fn bounded_size(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text)?;
    if bytes > SIZE_BYTES_MAX {
        return Err(format!("{text} is above the most, 1GiB"));
    }
    Ok(bytes)
}

fn parse_log_normal(text: &str) -> Result<Shape, String> {
    let wrong = || "write log-normal:MEDIAN,SIGMA, such as log-normal:1KiB,1.0".to_owned();
    let (median, sigma) = text.split_once(',').ok_or_else(wrong)?;
    let median = bounded_size(median)?;
    let sigma: f64 = sigma.trim().parse().map_err(|_| wrong())?;
    if median == 0 || !(0.0..=10.0).contains(&sigma) {
        return Err("the median must be above 0, and sigma from 0 to 10".to_owned());
    }
    let largest = median as f64 * (sigma * SIGMAS_MAX).exp();
    let sizes = LogNormal::new((median as f64).ln(), sigma).map_err(|_| wrong())?;
    let bytes_max = (largest.round() as usize).min(SIZE_BYTES_MAX);
    Ok(Shape::LogNormal(sizes, bytes_max))
}

/// A size in each line; empty lines and those that begin with # are passed over.
fn read_sizes(path: &str) -> Result<Arc<[usize]>, String> {
    let text = String::from_utf8(read_file(path, FILE_MIB_MAX)?)
        .map_err(|_| format!("{path} is no text; write a size in each line"))?;
    let lines = text.lines().map(str::trim).zip(1..);
    let is_size = |(line, _): &(&str, usize)| !line.is_empty() && !line.starts_with('#');
    let read =
        |(line, number)| bounded_size(line).map_err(|error| format!("{path}:{number}: {error}"));
    let sizes: Vec<usize> = lines.filter(is_size).map(read).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        return Err(format!("{path} has no sizes; write one in each line"));
    }
    Ok(sizes.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn drawn(text: &str) -> Vec<usize> {
        let sizes = Sizes::parse(text).unwrap();
        let mut random = Random::new(1, 0);
        let drawn: Vec<usize> = (0..20_000).map(|_| sizes.draw(&mut random)).collect();
        assert!(
            drawn
                .iter()
                .all(|&size| size <= sizes.bytes_max() && size >= sizes.bytes_min())
        );
        drawn
    }

    #[test]
    fn every_shape_keeps_what_it_promises() {
        assert!(drawn("64KiB").iter().all(|&size| size == 65_536));
        let list = drawn("1,2,1KiB");
        for size in [1, 2, 1024] {
            let share = list.iter().filter(|&&it| it == size).count() as f64 / list.len() as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.02, "{size}: {share}");
        }
        let range = drawn("10..13");
        assert!((10..=13).all(|size| range.contains(&size)));
        let mut normal = drawn("log-normal:1KiB,0.5");
        normal.sort_unstable();
        let (median, upper) = (normal[10_000] as f64, normal[16_827] as f64);
        assert!((median / 1024.0 - 1.0).abs() < 0.03, "{median}");
        // One standard deviation above the median lie 84.13 %.
        assert!((upper / median - 0.5f64.exp()).abs() < 0.05, "{upper}");
    }

    #[test]
    fn observed_sizes_come_from_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# seen on a Tuesday\n32\n\n4KiB").unwrap();
        let text = format!("file:{}", file.path().display());
        let sizes = drawn(&text);
        assert!(sizes.contains(&32) && sizes.contains(&4096));
        writeln!(file, "many").unwrap();
        let error = Sizes::parse(&text).unwrap_err();
        assert!(error.contains(":5:"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            "",
            "x",
            "2..1",
            "1..",
            "1,,2",
            "2GiB",
            "log-normal:5",
            "log-normal:0,1",
            "log-normal:1,-1",
            "file:/nowhere",
        ] {
            assert!(Sizes::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
