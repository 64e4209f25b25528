//! Writing a suite's file line by line, so that what was cut off can be read and gone on with.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use hdrhistogram::Histogram;
use ringload::result::latency::{HISTOGRAM, Latency};
use ringload::usage::UsageError;
use serde::Serialize;
use serde::de::{Deserialize as _, DeserializeOwned};
use serde_json::Value;

use super::document::{ARCHIVE, Line, file_of, read_lines};
use super::peers::Places;

/// Significant digits of the histograms that are kept: within 1 %, in a third of the bytes. The percentiles beside them
/// are of the whole ones.
const DIGITS: u8 = 2;

/// A file that is being written.
pub(super) struct Results {
    /// Where it is.
    pub(super) directory: PathBuf,
    out: GzEncoder<File>,
    scrubber: Scrubber,
}

impl Results {
    /// Takes a directory that is empty or absent: earlier results are never overwritten.
    pub(super) fn create(directory: &Path, scrubber: Scrubber) -> anyhow::Result<Results> {
        let shown = directory.display();
        fs::create_dir_all(directory).with_context(|| format!("creating {shown}"))?;
        if fs::read_dir(directory)?.next().is_some() {
            let why = format!("{shown} is not empty; give another --out, or --resume it");
            return Err(UsageError(why).into());
        }
        Results::begin(&directory.join(ARCHIVE), scrubber)
    }

    /// Goes on with a file: what there is of it is written anew, without an end that was cut off.
    pub(super) fn resume(path: &Path, scrubber: Scrubber) -> anyhow::Result<Results> {
        let path = file_of(path);
        let half = path.with_extension("part");
        let mut results = Results::begin(&half, scrubber)?;
        for line in read_lines(&path)?.0 {
            results.write(&line)?;
        }
        fs::rename(&half, &path).with_context(|| format!("writing {}", path.display()))?;
        Ok(results)
    }

    fn begin(path: &Path, scrubber: Scrubber) -> anyhow::Result<Results> {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(Results {
            directory: path.parent().unwrap_or(path).to_path_buf(),
            out: GzEncoder::new(file, Compression::best()),
            scrubber,
        })
    }

    /// The text without what is nobody's business.
    pub(super) fn clean(&self, text: &str) -> String {
        self.scrubber.clean(text)
    }

    /// Appends a line, which is on the disk before this returns.
    pub(super) fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut value = serde_json::to_value(line).context("encoding the results")?;
        self.scrubber.tidy(&mut value);
        let text = format!("{value}\n");
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_data())
            .with_context(|| format!("writing to {}", self.directory.display()))
    }
}

/// What must not be told of the machine: where the project, the home directory and the like are. Its name is written
/// nowhere.
///
/// The longest first, so that what is below something else goes first.
pub(super) struct Scrubber(Vec<(String, &'static str)>);

impl Scrubber {
    pub(super) fn new(places: &Places) -> Scrubber {
        let home = env::var("HOME").unwrap_or_default();
        let mut replacements = vec![
            (places.temporary.clone(), "tmp"),
            (places.target.clone(), "target"),
            (places.root.clone(), "."),
            (home.into(), "~"),
            (env::temp_dir(), "tmp"),
        ];
        replacements.retain(|(path, _)| path.components().count() > 1);
        replacements.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_os_str().len()));
        let shown = |(path, name): (PathBuf, _)| (path.to_string_lossy().into_owned(), name);
        Scrubber(replacements.into_iter().map(shown).collect())
    }

    fn clean(&self, text: &str) -> String {
        let replace = |text: String, (path, name): &(String, &str)| text.replace(path, name);
        self.0.iter().fold(text.to_owned(), replace)
    }

    /// The value as it is read back.
    pub(super) fn cleaned<T: Clone + DeserializeOwned + Serialize>(&self, value: &T) -> T {
        let mut written = serde_json::to_value(value).unwrap_or_default();
        self.tidy(&mut written);
        // Only what is odd to begin with is not itself again.
        serde_json::from_value(written).unwrap_or_else(|_| value.clone())
    }

    /// Cleans all texts, makes histograms smaller, and leaves out the slices of a window.
    fn tidy(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.tidy(value)),
            Value::Object(fields) if fields.contains_key(HISTOGRAM) => {
                if let Some(smaller) = smaller(&Value::Object(fields.clone())) {
                    fields.insert(HISTOGRAM.to_owned(), smaller.into());
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::Array(slices) if key == "series" => slices.clear(),
                        _ => self.tidy(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The histogram of a distribution with fewer digits; `None` if it is none.
fn smaller(distribution: &Value) -> Option<String> {
    let latency = Latency::deserialize(distribution).ok()?;
    let whole = latency.histogram().ok()?;
    let mut smaller = Histogram::<u64>::new_with_bounds(whole.low(), whole.high(), DIGITS).ok()?;
    for step in whole.iter_recorded() {
        smaller
            .record_n(step.value_iterated_to(), step.count_at_value())
            .ok()?;
    }
    Some(Latency::of(&smaller).histogram_v2_deflate_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_learns_where_it_was_measured() {
        let places = Places {
            root: "/home/jo/ringback".into(),
            target: "/home/jo/ringback/target".into(),
            temporary: "/var/ringbench-1".into(),
        };
        let scrubber = Scrubber::new(&places);
        let mut value = serde_json::json!({
            "a": ["/home/jo/ringback/target/x", "in /home/jo/ringback/scripts"],
            "b": {"c": "/var/ringbench-1/cert.pem", "series": [1]},
        });
        scrubber.tidy(&mut value);
        let clean = serde_json::json!({
            "a": ["target/x", "in ./scripts"],
            "b": {"c": "tmp/cert.pem", "series": []},
        });
        assert_eq!(value, clean);
    }

    #[test]
    fn a_histogram_is_kept_within_one_per_cent() {
        let mut whole = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        (1..=20_000).for_each(|n| whole.record(n * 7_919).unwrap());
        let latency = Latency::of(&whole);
        let before = serde_json::to_value(&latency).unwrap();
        let mut after = before.clone();
        Scrubber(Vec::new()).tidy(&mut after);
        let kept: Latency = serde_json::from_value(after).unwrap();
        assert_eq!((kept.count, kept.p99_ns), (latency.count, latency.p99_ns));
        let (text, whole_text) = (&kept.histogram_v2_deflate_base64, &before[HISTOGRAM]);
        assert!(text.len() < whole_text.as_str().unwrap().len());
        let kept = kept.histogram().unwrap();
        assert_eq!(kept.len(), whole.len());
        for quantile in [0.1, 0.5, 0.9, 0.999] {
            let (kept, whole) = (
                kept.value_at_quantile(quantile),
                whole.value_at_quantile(quantile),
            );
            assert!(kept.abs_diff(whole) * 100 <= whole, "{kept} {whole}");
        }
    }
}
